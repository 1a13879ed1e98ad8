package api

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"firstcome/domain"
)

// What is promised about refusals from memory:
//
//  1. Only "sold-out", and "ended" by an operator (which is final), are said from memory. Everything else the gate says.
//  2. A lease rests on one look at the open gate (Inspect) and holds for refusalLease from before that look was sent, by
//     the clock that is never set. New capacity in a sold-out campaign is given to nobody for REOPEN_AFTER_MS, twice as
//     long (store/redisgate/script/gate.lua): so nobody is refused from memory after somebody else got it.
//  3. Whoever the gate knows (winners, revoked ones, those who are owed a slot) is never refused from memory. The gate
//     never forgets a user within an epoch, so the users who were read are all there are while epoch and number are the
//     same.
//  4. Whom a rebuilt gate honours hears of it no sooner than refusalLease later (batch.go): by then every lease from
//     before is over, in every process. A record from outside that a consumer honours was answered by nobody: its user
//     may hear the refusal that held before for one lease longer.
//  5. A closed gate, a batch that failed and a new winner end the lease of the process that met them at once, and so does
//     the next look of every other process. No lease hides a closed gate for longer than it lasts.

const (
	// refusalLease is how long a look at the gate holds. It must stay below REOPEN_AFTER_MS with room to spare.
	refusalLease = time.Second
	// refusalRenewal is how often the gate is looked at while somebody asks: often enough that a lease never runs out.
	refusalRenewal = 400 * time.Millisecond
)

// refusals is what one campaign's applicants are refused with from memory.
type refusals struct {
	campaign string
	lease    atomic.Pointer[refusalGrant]
	// said is the gate's own last refusal, so that memory says the same, word for word.
	said atomic.Pointer[domain.Error]
	// asked says that somebody was refused since the last look; kept, that the keeper looks.
	asked, kept atomic.Bool
	// known is used by the keeper alone.
	known knownUsers

	mu    sync.Mutex
	drops int
}

// refusalGrant is never changed.
type refusalGrant struct {
	until   time.Time
	refusal *domain.Error
	known   knownUsers
}

func newRefusals(campaign string) *refusals { return &refusals{campaign: campaign} }

// refuse gives the refusal that certainly awaits a user, or nil: only the gate knows.
func (r *refusals) refuse(user domain.UserID, now time.Time) error {
	grant := r.lease.Load()
	if grant == nil || !now.Before(grant.until) || grant.known.has(user) {
		return nil
	}
	r.wasAsked()
	return grant.refusal
}

// wasAsked writes only when it must: all cores read this at the height of a rush.
func (r *refusals) wasAsked() {
	if !r.asked.Load() {
		r.asked.Store(true)
	}
}

// drop ends the lease, and makes a look void that is under way.
func (r *refusals) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drops++
	r.lease.Store(nil)
}

// dropped is to be asked before a look, for grant.
func (r *refusals) dropped() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.drops
}

// grant begins or renews the lease, unless it was dropped since.
func (r *refusals) grant(dropsBefore int, lease *refusalGrant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.drops == dropsBefore {
		r.lease.Store(lease)
	}
}

// refusalOf is the refusal that everybody meets whom a gate doesn't know; "" when it is another one than memory may say.
func refusalOf(report *domain.GateReport) domain.Code {
	switch {
	case report.Closed != "":
		return ""
	case report.State == domain.CampaignEnded:
		return domain.CodeEnded
	case report.State != domain.CampaignOpen,
		report.ServerTime.Before(report.StartsAt), !report.ServerTime.Before(report.EndsAt):
		return ""
	case report.Count >= report.Quota && report.Free == 0:
		return domain.CodeSoldOut
	}
	return ""
}

// knownUsers are all users that a gate knew under an epoch, sorted.
type knownUsers struct {
	epoch int64
	users []domain.UserID
}

func (k *knownUsers) has(user domain.UserID) bool {
	_, found := slices.BinarySearch(k.users, user)
	return found
}

// areThoseOf says whether these are the users of whom a gate reports.
func (k *knownUsers) areThoseOf(report *domain.GateReport) bool {
	return k.epoch == report.Epoch && int64(len(k.users)) == report.Winners+report.Revoked
}
