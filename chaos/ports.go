package main

import (
	"fmt"
	"net"
)

// portBlock is a run of ports that belongs to one supervisor. They are below 32768, from where on the system takes
// the ports of outgoing connections: a server that is away for a while must find its port free again.
type portBlock struct {
	// reservation is held on the first port, so that supervisors side by side take different blocks.
	reservation net.Listener
	next, end   int
}

const (
	firstPort = 20_000
	lastPort  = 32_000
	blockSize = 64
)

// reservePorts takes the first free block from a port on.
func reservePorts(from int) (*portBlock, error) {
	for base := from; base+blockSize <= lastPort; base += blockSize {
		listener, err := net.Listen("tcp", address(base)) //nolint:noctx // loopback
		if err != nil {
			continue
		}
		if blockIsFree(base + 1) {
			return &portBlock{reservation: listener, next: base + 1, end: base + blockSize}, nil
		}
		_ = listener.Close()
	}
	return nil, fmt.Errorf("no %d free ports in a row between %d and %d", blockSize, from, lastPort)
}

func blockIsFree(first int) bool {
	for port := first; port < first+blockSize-1; port++ {
		listener, err := net.Listen("tcp", address(port)) //nolint:noctx // loopback
		if err != nil {
			return false
		}
		_ = listener.Close()
	}
	return true
}

// take gives the next port of the block.
func (b *portBlock) take() int { return b.takeRow(1) }

// takeRow gives the first of the next ports in a row.
func (b *portBlock) takeRow(count int) int {
	if b.next+count > b.end {
		panic("the block of ports is too small")
	}
	b.next += count
	return b.next - count
}

func (b *portBlock) release() { _ = b.reservation.Close() }

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
