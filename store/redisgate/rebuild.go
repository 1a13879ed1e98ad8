package redisgate

import (
	"context"
	"strconv"
	"strings"
	"sync"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// The order of a rebuild, and what a crash after each step leaves behind. The caller raises the epoch in the ledger first.
//
//  1. begin_rebuild.lua closes the gate under the new epoch and empties the rebuild's keys.
//     Crash: a closed gate; the next rebuild has a higher epoch.
//  2. write_rebuilt.lua adds the users and the fresh pending entries, a bounded number a call. Crash: as after 1.
//  3. write_rebuilt.lua adds the slots in 1..highest that nobody holds. Crash: as after 1.
//  4. open_rebuilt.lua compares what the keys hold with what was written, swaps them in and opens the gate.
//     Crash: the gate is open; the entries that are pending go to the relay.

const (
	// writeChunk is how many users or free slots one script call writes: about a millisecond of Redis's time.
	writeChunk = 1000
	// entryWinners is how many winners share one fresh pending entry.
	entryWinners = 100
)

// rebuild is what this process has written for one campaign. A rebuild that this process did not begin, or that failed
// on the way, can't be finished: it is begun again.
type rebuild struct {
	target  domain.RebuildTarget
	holders slotSet
	// users, revoked and owed count what was written, entries the pending entries.
	users, revoked, owed, entries int64
	// lastMS and lastSequence are the ID of the last pending entry: IDs must rise.
	lastMS, lastSequence int64
	// placedMS is the last millisecond of which there is a pending entry, or an admission in one; 0 when there is none.
	// lateFromMS is the earliest admission that an entry with a later ID holds; 0 when there is none.
	placedMS, lateFromMS int64
}

// rebuilds holds at most one rebuild a campaign: one that begins replaces the one before.
type rebuilds struct {
	mu         sync.Mutex
	byCampaign map[string]*rebuild
}

func (rs *rebuilds) begin(target domain.RebuildTarget) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.byCampaign == nil {
		rs.byCampaign = map[string]*rebuild{}
	}
	if _, known := rs.byCampaign[target.Campaign]; !known && len(rs.byCampaign) >= maxCampaigns {
		clear(rs.byCampaign)
	}
	rs.byCampaign[target.Campaign] = &rebuild{target: target}
}

// take takes the target's rebuild out, so that a step that fails leaves none behind; the step puts it back when it
// succeeded.
func (rs *rebuilds) take(target domain.RebuildTarget) (*rebuild, error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	found := rs.byCampaign[target.Campaign]
	if found == nil || found.target != target {
		return nil, errOvertaken
	}
	delete(rs.byCampaign, target.Campaign)
	return found, nil
}

func (rs *rebuilds) putBack(r *rebuild) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if _, replaced := rs.byCampaign[r.target.Campaign]; !replaced {
		rs.byCampaign[r.target.Campaign] = r
	}
}

// BeginRebuild implements domain.GateRebuilder.
func (g *Gate) BeginRebuild(ctx context.Context, campaign string, epoch int64) (domain.RebuildTarget, error) {
	answer, err := g.ask(ctx, beginRebuildScript, campaign, epoch)
	if err != nil {
		return domain.RebuildTarget{}, err
	}
	if answer.text(0) != "OK" {
		return domain.RebuildTarget{}, errOvertaken
	}
	target := domain.RebuildTarget{
		Campaign: campaign, Epoch: epoch, RunID: answer.text(1), Unsure: answer.number(2) == 1, ClosedAt: moment(answer.number(3)),
	}
	g.rebuilds.begin(target)
	return target, nil
}

// WriteWinners implements domain.GateRebuilder. After any error the rebuild is to be begun again. CodeConflict: a slot
// or a user comes twice, or a slot is out of range.
func (g *Gate) WriteWinners(ctx context.Context, target domain.RebuildTarget, winners []domain.GateWinner) error {
	r, err := g.rebuilds.take(target)
	if err != nil {
		return err
	}
	for len(winners) > 0 {
		some := winners[:min(len(winners), writeChunk)]
		winners = winners[len(some):]
		if err := g.writeChunk(ctx, r, some); err != nil {
			return err
		}
	}
	g.rebuilds.putBack(r)
	return nil
}

func (g *Gate) writeChunk(ctx context.Context, r *rebuild, winners []domain.GateWinner) error {
	argv := make([]any, 0, 4+2*len(winners)+2*len(winners)/entryWinners)
	argv = append(argv, r.target.Epoch, r.target.RunID, len(winners), 0)
	var pending []domain.GateWinner
	for _, winner := range winners {
		if err := r.count(winner); err != nil {
			return err
		}
		argv = append(argv, int64(winner.UserID), gateValue(winner))
		if winner.Pending {
			pending = append(pending, winner)
		}
	}
	return g.askRebuild(ctx, writeRebuiltScript, r, r.appendEntries(argv, pending))
}

func (g *Gate) askRebuild(ctx context.Context, s *script, r *rebuild, argv []any) error {
	answer, err := g.ask(ctx, s, r.target.Campaign, argv...)
	if err != nil {
		return err
	}
	switch answer.text(0) {
	case "OK":
		return nil
	case "DIFFERENT":
		return domain.Errorf(domain.CodeConflict, "campaign %s: Redis does not hold what the rebuild wrote", r.target.Campaign)
	}
	return errOvertaken
}

// count notes a user, and refuses contradictions.
func (r *rebuild) count(winner domain.GateWinner) error {
	switch {
	case winner.UserID < 1 || winner.Slot < domain.SlotOwed || winner.Slot > domain.MaxQuota || winner.Pending && winner.Slot < 1:
		return domain.Errorf(domain.CodeConflict, "user %s can't have slot %d", winner.UserID, winner.Slot)
	case winner.Slot == domain.NoSlot:
		r.revoked++
	case winner.Slot == domain.SlotOwed:
		r.owed++
	case !r.holders.add(winner.Slot):
		return domain.Errorf(domain.CodeConflict, "slot %d has two holders; one of them is user %s", winner.Slot, winner.UserID)
	}
	r.users++
	return nil
}

// appendEntries appends the fresh pending entries: ID and text of each. An ID is made of the time at which the first of
// the entry's winners was admitted, so that, as always, who was admitted before the oldest entry is in Kafka. Anybody who was
// admitted before the ID all the same came late. In which entry somebody is can't be told from the time of the admission:
// that is noted as it is for those who are put back (script/put_back.lua).
func (r *rebuild) appendEntries(argv []any, winners []domain.GateWinner) []any {
	for len(winners) > 0 {
		some := winners[:min(len(winners), entryWinners)]
		winners = winners[len(some):]
		id := r.nextEntryID(admittedMilliseconds(some[0]))
		var text strings.Builder
		for i, winner := range some {
			if i > 0 {
				text.WriteByte(',')
			}
			text.WriteString(winner.UserID.String() + ":" + gateValue(winner))
			r.isPlaced(admittedMilliseconds(winner))
		}
		argv = append(argv, id, text.String())
	}
	return argv
}

// isPlaced notes that somebody who was admitted then is in the last entry.
func (r *rebuild) isPlaced(admittedMS int64) {
	r.placedMS = max(r.placedMS, r.lastMS, admittedMS)
	if admittedMS < r.lastMS && (r.lateFromMS == 0 || admittedMS < r.lateFromMS) {
		r.lateFromMS = admittedMS
	}
}

// putBackFrom is put_back_from_ms: anybody who was admitted before the oldest entry, and before this, is in Kafka.
func (r *rebuild) putBackFrom() int64 {
	if r.lateFromMS == 0 {
		return r.placedMS
	}
	return r.lateFromMS
}

// gateValue is how the gate writes a winner down: slot:admitted_ms.
func gateValue(winner domain.GateWinner) string {
	return strconv.FormatInt(int64(winner.Slot), 10) + ":" + strconv.FormatInt(admittedMilliseconds(winner), 10)
}

// admittedMilliseconds is never 0: the first ID of an entry stands for an empty stream.
func admittedMilliseconds(winner domain.GateWinner) int64 {
	return max(milliseconds(winner.AdmittedAt), 1)
}

func (r *rebuild) nextEntryID(ms int64) string {
	if ms > r.lastMS {
		r.lastMS, r.lastSequence = ms, 0
	} else {
		r.lastSequence++
	}
	r.entries++
	return strconv.FormatInt(r.lastMS, 10) + "-" + strconv.FormatInt(r.lastSequence, 10)
}

// OpenRebuilt implements domain.GateRebuilder. After any error the rebuild is to be begun again. CodeConflict: the keys
// do not hold what was written.
func (g *Gate) OpenRebuilt(ctx context.Context, target domain.RebuildTarget, campaign domain.Campaign) error {
	r, err := g.rebuilds.take(target)
	if err != nil {
		return err
	}
	highest := r.holders.highest()
	for free := range r.holders.gaps(writeChunk) {
		argv := append(make([]any, 0, 4+len(free)), target.Epoch, target.RunID, 0, len(free))
		for _, slot := range free {
			argv = append(argv, slot)
		}
		if err := g.askRebuild(ctx, writeRebuiltScript, r, argv); err != nil {
			return err
		}
	}
	crashpoint.Reach(crashpoint.RebuildGapsWritten)
	return g.askRebuild(ctx, openRebuiltScript, r, []any{
		target.Epoch, target.RunID, campaign.EffectiveQuota(), milliseconds(campaign.StartsAt), milliseconds(campaign.EndsAt),
		string(campaign.State), highest, r.users, r.revoked, r.owed, r.entries,
		r.placedMS, r.putBackFrom(), campaign.SettingsVersion,
	})
}
