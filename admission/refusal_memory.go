package admission

import (
	"slices"
	"time"
	"unsafe"

	"firstcome/domain"
)

// The memory that refusals take, whatever strangers ask:
//
//  1. A campaign is kept once the gate has refused Config.RefusalDemand users of it within demandWindow, and until nobody
//     was refused for refusalIdle. Of more than maxKept those go first that were used the least.
//  2. The users of a kept campaign are read once that pays: a reading costs Redis about as much as refusing one user in
//     usersPerRefusal. One campaign is read at a time, and readings take no more than a quarter of the time (loadRest).
//  3. All that is held, and what is being read, fits into Config.RefusalMemoryBytes. Room is made by letting go of
//     campaigns that are used less than the one that needs it, the least used first; if that is not enough, it waits.
//
// Who is not refused from memory is refused by the gate.
const (
	demandWindow = time.Second
	refusalIdle  = 10 * time.Second
	// maxKept bounds the looks at gates: all of them are looked at every refusalRenewal while they are asked for.
	maxKept         = 256
	usersPerRefusal = 500
	// loadRest is for how many times as long as the last reading took there is no other.
	loadRest = 3
)

// interest is how much a kept campaign was asked for lately.
type interest struct {
	// score is the uses of each renewal, half as much with each renewal since.
	score int64
	// fresh says that there were some in the last renewal, usedAt when that was so last.
	fresh  bool
	usedAt time.Time
}

// measure takes in the uses since the last time.
func (i *interest) measure(uses int64, now time.Time) {
	i.score = i.score/2 + uses
	if i.fresh = uses > 0; i.fresh {
		i.usedAt = now
	}
}

// wanted is how much a campaign is asked for now.
func (r *refusals) wanted() int64 { return r.score + r.uses.Load() }

func (r *refusals) idle(now time.Time) bool { return now.Sub(r.usedAt) >= refusalIdle }

// loadPays says whether so many users should be read for what is asked.
func loadPays(wanted, demand, users int64) bool { return wanted >= demand+users/usersPerRefusal }

// spareUsers is room for users who are read twice, as Redis may give them.
const spareUsers = 64

func usersToHold(report *domain.GateReport) int64 {
	users := report.Winners + report.Revoked
	return users + users/16 + spareUsers
}

func bytesOf(users int64) int64 { return users * int64(unsafe.Sizeof(domain.UserID(0))) }

// roomFor says which campaigns must let go of their users so that a newcomer's bytes fit beside the rest: the least used
// first, and none that is wanted as much as the newcomer. It is false when that can't be had.
func roomFor(newcomer *refusals, bytes, free int64, kept []*refusals) (leaving []*refusals, ok bool) {
	holders := slices.DeleteFunc(slices.Clone(kept), func(r *refusals) bool {
		return r == newcomer || r.bytes == 0 || r.wanted() >= newcomer.wanted()
	})
	slices.SortStableFunc(holders, leastWantedFirst)
	for _, r := range holders {
		if free >= bytes {
			break
		}
		free += r.bytes
		leaving = append(leaving, r)
	}
	return leaving, free >= bytes
}

func leastWantedFirst(a, b *refusals) int {
	switch x, y := a.wanted(), b.wanted(); {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}
