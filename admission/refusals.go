package admission

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"firstcome/domain"
)

// What is promised about refusals from memory:
//
//  1. Only what the gate says to everybody that it doesn't know is said from memory: "sold-out", "ended", "paused" and
//     "not-started".
//  2. A lease rests on one look at the open gate (Inspect) and holds for refusalLease from before that look was sent, by
//     the clock that is never set, but not beyond the next start or end of the campaign's window: when that comes is
//     for Redis's clock to say, which the look tells, and those who come at the edge ask the gate. When capacity comes
//     back, or an operator has a campaign begin sooner or go on, the gate admits nobody new for REOPEN_AFTER_MS, twice
//     as long as a lease (store/redisgate/script/gate.lua): so nobody is refused from memory after somebody else was
//     admitted. Should Redis's clock be set forward, a refusal may be false for as long as the lease lasts.
//  3. Who is known to the gate (winners, revoked ones, those who are owed a slot) is never refused from memory. The gate
//     never forgets a user within an epoch, so the users who were read are all there are while epoch and number are the
//     same.
//  4. Who becomes known to a gate that refuses everybody else, by a promise that is honoured or by a rebuild, is told by no
//     process before every lease from before is over: the gate keeps that time (told_from_ms, script/gate.lua) and tells it
//     (TellIn). Who honours waits so long, so that no row and no fail event of the user can be seen sooner either
//     (domain.HonourAll), and so does a process that is asked again. Until then the user may hear the same refusal.
//  5. The users of a campaign are held only while many ask for it, and those of all campaigns in a budget of the process
//     (refusal_memory.go). Without them the gate refuses, as ever.
//  6. A closed gate, a batch that failed and a new winner end the lease of the process that met them at once, and so does
//     the next look of every other process. No lease hides a closed gate for longer than it lasts.
//  7. A lease is of the epoch of the gate that was looked at. It ends as soon as this process reads a newer one in the
//     ledger: what an older gate said is not believed, whatever it is.

const (
	// refusalLease is how long a look at the gate holds. It must stay below domain.ReopenAfter and domain.TellAfter with room
	// to spare.
	refusalLease = time.Second
	// refusalRenewal is how often the gate is looked at while somebody asks: often enough that a lease never runs out.
	refusalRenewal = 400 * time.Millisecond
	// edgeMargin is how long before a start or an end the gate is asked: Redis tells its time in whole milliseconds, and
	// its clock and ours may not run alike.
	edgeMargin = 10 * time.Millisecond
)

// refusals is what one campaign's applicants are refused with from memory.
type refusals struct {
	campaign string
	epoch    *ledgerEpoch
	lease    atomic.Pointer[refusalGrant]
	// said is the gate's own last refusal, so that memory says the same, word for word.
	said atomic.Pointer[domain.Error]
	// uses counts those that memory or the gate refused since the keeper counted them last; kept says that the keeper does.
	uses atomic.Int64
	kept atomic.Bool
	// known, bytes and interest are used by the keeper alone (refusal_memory.go).
	known knownUsers
	bytes int64
	interest

	mu    sync.Mutex
	drops int
	// since is when uses began to be counted, while nobody keeps the campaign.
	since time.Time
}

// refusalGrant is never changed.
type refusalGrant struct {
	until   time.Time
	refusal *domain.Error
	known   knownUsers
	// startsAt is when the campaign starts, by this process's clock; it is told to who comes too early.
	startsAt time.Time
}

// newRefusalGrant makes the lease that rests on a look which was sent at that time.
func newRefusalGrant(sent time.Time, report *domain.GateReport, refusal *domain.Error, known knownUsers) *refusalGrant {
	lasts := refusalLease
	untilStart, untilEnd := report.StartsAt.Sub(report.ServerTime), report.EndsAt.Sub(report.ServerTime)
	for _, left := range []time.Duration{untilStart, untilEnd} {
		if left > 0 {
			lasts = min(lasts, left-edgeMargin)
		}
	}
	return &refusalGrant{until: sent.Add(lasts), refusal: refusal, known: known, startsAt: sent.Add(untilStart)}
}

// say gives the refusal, with what is left until the start.
func (g *refusalGrant) say(now time.Time) error {
	if g.refusal.Code != domain.CodeNotStarted {
		return g.refusal
	}
	timed := *g.refusal
	timed.RetryAfter = max(g.startsAt.Sub(now), time.Millisecond)
	return &timed
}

func newRefusals(campaign string) *refusals { return &refusals{campaign: campaign} }

// refuse gives the refusal that certainly awaits a user, or nil: only the gate knows.
func (r *refusals) refuse(user domain.UserID, now time.Time) error {
	grant := r.lease.Load()
	if grant == nil || !now.Before(grant.until) || r.epoch.isAfter(grant.known.epoch) || grant.known.has(user) {
		return nil
	}
	r.uses.Add(1)
	return grant.say(now)
}

// demanded notes that the gate refused n users, and says whether it is worth the keeper's while: that it has refused
// enough of them within demandWindow.
func (r *refusals) demanded(n int64, now time.Time, enough int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.kept.Load() && now.Sub(r.since) > demandWindow {
		r.since = now
		r.uses.Store(0)
	}
	return r.uses.Add(n) >= enough
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

// refusalOf is the refusal that everybody meets that a gate doesn't know, as script/admit.lua decides it; "" when somebody
// may be admitted, or nobody knows.
func refusalOf(report *domain.GateReport) domain.Code {
	switch {
	case report.Closed != "":
		return ""
	case report.State == domain.CampaignEnded, !report.ServerTime.Before(report.EndsAt):
		return domain.CodeEnded
	case report.State == domain.CampaignPaused:
		return domain.CodePaused
	case report.ServerTime.Before(report.StartsAt):
		return domain.CodeNotStarted
	case report.Remaining() == 0:
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

// areThoseOf says whether these are the users that a gate reports.
func (k *knownUsers) areThoseOf(report *domain.GateReport) bool {
	return k.epoch == report.Epoch && int64(len(k.users)) == report.Winners+report.Revoked
}
