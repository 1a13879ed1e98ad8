package kafkaqueue

import (
	"sync"
	"time"
)

const (
	// maxParcel is how many records are sent together at most: about 150 KB, well within what a broker takes at once
	// (1 MB), unless it is set up to take less.
	maxParcel = 1024
	// minParcel is how few a slow broker can bring a parcel down to.
	minParcel = 16
	// parcelGrows is after how long without a failure parcels are twice as large again.
	parcelGrows = 5 * time.Second
)

// parcelSize is how many records go together: fewer after brokers did not take so many in time, or at all.
type parcelSize struct {
	mu sync.Mutex
	// most is 0 for maxParcel; changed is when it was last changed.
	most    int
	changed time.Time
}

func (s *parcelSize) size(now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.most == 0 {
		s.most = maxParcel
	}
	if s.most < maxParcel && now.Sub(s.changed) >= parcelGrows {
		s.most, s.changed = min(s.most*2, maxParcel), now
	}
	return s.most
}

// shrink halves the size after a parcel of so many records was not taken.
func (s *parcelSize) shrink(records int, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.most == 0 {
		s.most = maxParcel
	}
	s.most, s.changed = max(min(s.most, records)/2, minParcel), now
}
