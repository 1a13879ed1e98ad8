package retryer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"firstcome/domain"
)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// promise is a winner as a pending entry or a record names one.
func promise(user domain.UserID, slot domain.Slot, epoch int64, admittedAt time.Time) domain.Winner {
	return domain.Winner{Campaign: sale, UserID: user, Slot: slot, Epoch: epoch, AdmittedAt: admittedAt}
}

// anyHistory fills a world with what crashes, roll-backs and two masters at once may leave behind: rows, fail events,
// pending entries and records that agree or contradict each other in any way.
func anyHistory(t *rapid.T) *world {
	w := newWorld(sale, "autumn")
	l, g := w.ledger[sale], w.gates[sale]
	l.Epoch, l.Fencing, g.epoch = 5, 5, 5
	g.open = rapid.Bool().Draw(t, "open")
	l.Quota = rapid.Int64Range(1, 30).Draw(t, "quota")
	if rapid.IntRange(0, 3).Draw(t, "lower") == 0 {
		l.WantedQuota = rapid.Int64Range(1, l.Quota).Draw(t, "wanted quota")
	}
	user := func() domain.UserID { return domain.UserID(rapid.Int64Range(1, 40).Draw(t, "user")) }
	slot := func() domain.Slot { return domain.Slot(rapid.Int64Range(1, l.Quota+3).Draw(t, "slot")) }
	when := func() time.Time { return at(rapid.IntRange(0, 100).Draw(t, "admitted at")) }
	w.issueRows(rapid.IntRange(0, 15).Draw(t, "rows"), user, slot, when)
	for range rapid.IntRange(0, 6).Draw(t, "fail events") {
		event := refusedEvent(user(), slot(), 5)
		if rapid.Bool().Draw(t, "without slot") {
			event.Slot = domain.NoSlot
		}
		w.fail(event)
		w.events[int64(len(w.events))].Status = rapid.SampledFrom([]domain.FailStatus{
			domain.FailStatusFail, domain.FailStatusDead, domain.FailStatusProcessing, domain.FailStatusSuccess,
		}).Draw(t, "status")
	}
	for range rapid.IntRange(0, 8).Draw(t, "pending") {
		winners := []domain.Winner{promise(user(), slot(), 5, when())}
		if rapid.Bool().Draw(t, "two") {
			winners = append(winners, promise(user(), slot(), 5, when()))
		}
		g.pending = append(g.pending, domain.PendingEntry{ID: string(rune('a' + len(g.pending))), Winners: winners})
	}
	for range rapid.IntRange(0, 15).Draw(t, "records") {
		w.topic = append(w.topic, anyRecord(t, promise(user(), slot(), rapid.Int64Range(1, 5).Draw(t, "epoch"), when())))
	}
	for range rapid.IntRange(0, 10).Draw(t, "users of the old gate") {
		held := domain.GateWinner{UserID: user(), Slot: slot(), AdmittedAt: when()}
		if rapid.IntRange(0, 4).Draw(t, "revoked") == 0 && len(knownOf(w).events[held.UserID]) == 0 {
			held.Slot = domain.NoSlot
		}
		g.users[held.UserID] = held
	}
	return w
}

// issueRows stores rows as the ledger's unique keys allow, some of them revoked.
func (w *world) issueRows(count int, user func() domain.UserID, slot func() domain.Slot, when func() time.Time) {
	taken := map[domain.Slot]bool{}
	for range count {
		coupon := domain.Coupon{Campaign: sale, UserID: user(), Slot: slot(), AdmittedAt: when()}
		_, known := w.ledger[sale].coupons[coupon.UserID]
		if known || taken[coupon.Slot] || int64(coupon.Slot) > w.ledger[sale].Quota {
			continue
		}
		taken[coupon.Slot] = true
		if coupon.UserID%5 == 0 {
			coupon.Slot = domain.NoSlot
		}
		w.ledger[sale].coupons[coupon.UserID] = coupon
	}
}

func anyRecord(t *rapid.T, winner domain.Winner) domain.Delivery {
	switch rapid.IntRange(0, 9).Draw(t, "kind") {
	case 0:
		return domain.Delivery{Problem: errors.New("unreadable")}
	case 1:
		return domain.Delivery{External: true, Winner: domain.Winner{UserID: winner.UserID}}
	case 2:
		winner.Campaign = "autumn"
	case 3:
		winner.Slot = 1 << 40
	}
	return domain.Delivery{Winner: winner}
}

// known is what a rebuild must respect, told in the plainest way.
type known struct {
	rows   map[domain.UserID]domain.Slot
	events map[domain.UserID][]domain.Slot
	claims map[domain.UserID][]domain.Winner
}

func knownOf(w *world) known {
	k := known{
		rows: map[domain.UserID]domain.Slot{}, events: map[domain.UserID][]domain.Slot{},
		claims: map[domain.UserID][]domain.Winner{},
	}
	for user, coupon := range w.ledger[sale].coupons {
		k.rows[user] = coupon.Slot
	}
	for _, event := range w.events {
		if event.Status != domain.FailStatusSuccess {
			k.events[event.UserID] = append(k.events[event.UserID], event.Slot)
		}
	}
	for _, entry := range w.gates[sale].pending {
		for _, winner := range entry.Winners {
			k.claims[winner.UserID] = append(k.claims[winner.UserID], winner)
		}
	}
	for _, delivery := range w.topic {
		if delivery.Problem == nil && !delivery.External && delivery.Winner.Campaign == sale {
			k.claims[delivery.Winner.UserID] = append(k.claims[delivery.Winner.UserID], delivery.Winner)
		}
	}
	// What the old gate says is the oldest claim; but a revocation is as good as the row that the ledger has lost.
	for user, held := range w.gates[sale].users {
		if _, hasRow := k.rows[user]; held.Slot == domain.NoSlot && !hasRow {
			k.rows[user] = domain.NoSlot
		} else if held.Slot != domain.NoSlot {
			k.claims[user] = append(k.claims[user], domain.Winner{UserID: user, Slot: held.Slot, AdmittedAt: held.AdmittedAt})
		}
	}
	return k
}

func (k known) onlyUpstream(user domain.UserID) bool {
	_, row := k.rows[user]
	return !row && len(k.events[user]) == 0
}

// holdsNothing says whether the ledger gives the user neither a slot nor a final refusal: a fail event without a slot says
// nothing against what upstream says.
func (k known) holdsNothing(user domain.UserID) bool {
	_, row := k.rows[user]
	return !row && !slices.ContainsFunc(k.events[user], func(slot domain.Slot) bool { return slot >= 1 })
}

func TestARebuildKeepsEveryPromiseThatCanBeKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyHistory(t)
		k, quotaBefore := knownOf(w), w.ledger[sale].Quota
		require.NoError(t, w.retryer(t, Config{}).Rebuild(context.Background(), sale))
		checkRebuilt(t, w, k, quotaBefore)
	})
}

func checkRebuilt(t *rapid.T, w *world, k known, quota int64) {
	g := w.gates[sale]
	require.True(t, g.open)
	require.Equal(t, w.ledger[sale].Epoch, g.epoch)
	everybody := map[domain.UserID]bool{}
	for _, users := range []map[domain.UserID]bool{keys(k.rows), keys(k.events), keys(k.claims)} {
		maps.Copy(everybody, users)
	}
	require.Equal(t, everybody, keys(g.users), "every winner is known, and nobody else")
	holders := map[domain.Slot]domain.UserID{}
	for user, held := range g.users {
		if held.Slot >= 1 {
			require.Zero(t, holders[held.Slot], "slot %d has two holders", held.Slot)
			holders[held.Slot] = user
		}
		slot, hasRow := k.rows[user]
		if hasRow {
			require.Equal(t, slot, held.Slot, "the ledger's slot is kept")
		} else {
			require.NotEqual(t, domain.NoSlot, held.Slot, "only a row is revoked, or who was so in the gate")
			require.LessOrEqual(t, int64(held.Slot), quota)
		}
		inLedger := hasRow || slices.Contains(k.events[user], held.Slot)
		if !inLedger || len(k.claims[user]) == 0 || hasRow {
			require.Equal(t, !inLedger && held.Slot >= 1, held.Pending, "sent again are the slots of which the ledger does not know")
		}
	}
	checkClaims(t, w, k, holders, quota)
	checkPendingOrder(t, g, k)
	checkQuota(t, w, holders, quota)
}

func keys[V any](m map[domain.UserID]V) map[domain.UserID]bool {
	all := map[domain.UserID]bool{}
	for user := range m {
		all[user] = true
	}
	return all
}

// checkClaims: nobody is owed a slot while one is left; whose claim nobody else has, keeps it; who is owed one is sent
// to the topic under an epoch that is over.
func checkClaims(t *rapid.T, w *world, k known, holders map[domain.Slot]domain.UserID, quota int64) {
	sent := map[domain.UserID]bool{}
	for _, winner := range w.published {
		sent[winner.UserID] = true
		require.Less(t, winner.Epoch, w.ledger[sale].Epoch)
		require.Equal(t, domain.SlotOwed, w.slotOf(sale, winner.UserID))
		require.GreaterOrEqual(t, int64(winner.Slot), int64(1), "a record can't name a winner without a slot")
	}
	for user, held := range w.gates[sale].users {
		if _, hasRow := k.rows[user]; held.Slot == domain.SlotOwed && !hasRow {
			require.GreaterOrEqual(t, int64(len(holders)), w.gates[sale].quota, "slots are free, but user %d got none", user)
		}
	}
	for user, claims := range k.claims {
		held := w.slotOf(sale, user)
		require.Equal(t, held == domain.SlotOwed && k.onlyUpstream(user), sent[user])
		if !k.holdsNothing(user) {
			continue
		}
		best := slices.MaxFunc(claims, func(a, b domain.Winner) int { return int(a.Epoch - b.Epoch) })
		ties := slices.ContainsFunc(claims, func(c domain.Winner) bool { return c.Epoch == best.Epoch && c.Slot != best.Slot })
		if !ties && int64(best.Slot) <= quota && !k.disputes(user, best.Slot) {
			require.Equal(t, best.Slot, held, "user %d keeps the promised slot", user)
		}
	}
}

// disputes says whether anybody else claims or holds the slot.
func (k known) disputes(user domain.UserID, slot domain.Slot) bool {
	for other, held := range k.rows {
		if other != user && held == slot {
			return true
		}
	}
	for other, held := range k.events {
		if other != user && slices.Contains(held, slot) {
			return true
		}
	}
	for other, claims := range k.claims {
		if other != user && slices.ContainsFunc(claims, func(c domain.Winner) bool { return c.Slot == slot }) {
			return true
		}
	}
	// The lowest free slot may have gone to somebody without a slot of their own only after all claims were served.
	return false
}

func checkPendingOrder(t *rapid.T, g *gate, k known) {
	last := time.Time{}
	for _, entry := range g.pending {
		for _, winner := range entry.Winners {
			require.False(t, winner.AdmittedAt.Before(last), "in the order of admission")
			last = winner.AdmittedAt
			require.Equal(t, g.epoch, winner.Epoch)
			require.NotContains(t, k.rows, winner.UserID)
			require.Equal(t, g.users[winner.UserID].Slot, winner.Slot)
		}
	}
}

func checkQuota(t *rapid.T, w *world, holders map[domain.Slot]domain.UserID, before int64) {
	l := w.ledger[sale]
	require.Equal(t, l.EffectiveQuota(), w.gates[sale].quota)
	require.LessOrEqual(t, l.Quota, before)
	if l.WantedQuota != 0 {
		require.Greater(t, int64(len(holders)), l.WantedQuota, "a wish stands only while there are more holders")
	}
	for slot := range holders {
		require.LessOrEqual(t, int64(slot), l.HighestSlot())
	}
}

// Kafka has deleted the record of a winner before it was stored, and Redis was restarted with all its data: no audit
// came in between.
func TestARebuildRecallsTheWinnersWhomOnlyTheGateKnows(t *testing.T) {
	w, r := opened(t, sale)
	g := w.gates[sale]
	w.mu.Lock()
	g.open, g.users[7] = false, domain.GateWinner{UserID: 7, Slot: 3, AdmittedAt: at(1)}
	g.users[8] = domain.GateWinner{UserID: 8, Slot: domain.SlotOwed, AdmittedAt: at(2)}
	g.users[9] = domain.GateWinner{UserID: 9, Slot: domain.NoSlot, AdmittedAt: at(3)}
	w.mu.Unlock()

	require.NoError(t, r.Rebuild(t.Context(), sale))
	assert.Equal(t, domain.Slot(3), w.slotOf(sale, 7), "the slot that was promised is kept")
	assert.Equal(t, domain.Slot(1), w.slotOf(sale, 8), "who was owed a slot gets the lowest one left")
	assert.Equal(t, domain.NoSlot, w.gates[sale].users[9].Slot, "the ledger has lost the revocation")
	require.Contains(t, w.gates[sale].users, domain.UserID(9), "who is forgotten may apply again")
	require.Len(t, g.pending, 2, "their records are sent again")
}

// An attempt at an event that holds no slot had the gate give the user one; then the database went away. The user hears of
// the slot as soon as the record is on its way.
func TestAFailEventWithoutASlotTakesNoneAway(t *testing.T) {
	for name, given := range map[string]func(*world){
		"a pending entry": func(w *world) {
			w.gates[sale].pending = []domain.PendingEntry{{ID: "a", Winners: []domain.Winner{promise(7, 5, 1, start)}}}
		},
		"a record": func(w *world) {
			w.topic = append(w.topic, domain.Delivery{Winner: promise(7, 5, 1, start)})
		},
		"the gate's word": func(w *world) {
			w.gates[sale].users[7] = domain.GateWinner{UserID: 7, Slot: 5, AdmittedAt: start}
		},
		"a record, and an event whose slot is another's": func(w *world) {
			w.fail(refusedEvent(7, 4, 1))
			w.topic = append(w.topic, domain.Delivery{Winner: promise(7, 5, 1, start)})
		},
		"a record that is newer than an event with a slot": func(w *world) {
			w.fail(refusedEvent(7, 2, 0))
			delete(w.ledger[sale].coupons, 2)
			w.topic = append(w.topic, domain.Delivery{Winner: promise(7, 5, 1, start)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := opened(t, sale)
			w.ledger[sale].Quota = 5
			for user := domain.UserID(1); user <= 4; user++ {
				w.issue(user, domain.Slot(user))
			}
			waiting := refusedEvent(7, domain.NoSlot, 1)
			waiting.Reason = domain.ReasonSlotTaken
			w.fail(waiting)
			given(w)
			require.NoError(t, r.Rebuild(t.Context(), sale))
			assert.Equal(t, domain.Slot(5), w.slotOf(sale, 7), "the slot that the user was told")
		})
	}
}

// Two users without a slot, one with an event and one with a record only: who was admitted first comes first.
func TestSlotsLeftGoToAllWhoWaitInTheOrderOfTheirAdmission(t *testing.T) {
	for _, byEvent := range []domain.UserID{8, 9} {
		w, r := opened(t, sale)
		w.ledger[sale].Quota = 2
		w.issue(1, 1)
		w.issue(2, 2)
		delete(w.ledger[sale].coupons, 2)
		for user := domain.UserID(8); user <= 9; user++ {
			if user == byEvent {
				event := refusedEvent(user, domain.NoSlot, 1)
				event.AdmittedAt = at(int(user))
				w.fail(event)
			} else {
				w.topic = append(w.topic, domain.Delivery{Winner: promise(user, 1, 1, at(int(user)))})
			}
		}
		require.NoError(t, r.Rebuild(t.Context(), sale))
		assert.Equal(t, domain.Slot(2), w.slotOf(sale, 8))
		assert.Equal(t, domain.SlotOwed, w.slotOf(sale, 9))
		assert.Equal(t, byEvent == 8, len(w.published) == 1, "only those that nothing stands for are sent again")
		assert.Len(t, w.gates[sale].pending, 1, "the slot is sent before it is told")
	}
}

func TestOneRebuildIsEnoughForALedgerThatLostSeveralEpochs(t *testing.T) {
	w, r := opened(t, sale)
	w.gates[sale].epoch = 9
	w.hold(7, 3)
	require.NoError(t, r.SweepOnce(t.Context()))
	assert.True(t, w.gates[sale].open)
	assert.EqualValues(t, 10, w.gates[sale].epoch)
	assert.EqualValues(t, 10, w.ledger[sale].Epoch)
	assert.Equal(t, domain.Slot(3), w.slotOf(sale, 7))
}

// A rebuild that is frozen at any call while another one runs from its beginning to its end must change nothing.
func TestAnOvertakenRebuildChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyHistory(t)
		k, quotaBefore := knownOf(w), w.ledger[sale].Quota
		frozenAt := rapid.IntRange(3, 13).Draw(t, "frozen at call")
		calls := 0
		var after map[domain.UserID]domain.GateWinner
		w.before = func(string, string) error {
			calls++
			if calls == frozenAt {
				w.published = nil
				require.NoError(t, w.retryer(t, Config{}).Rebuild(context.Background(), sale))
				after = maps.Clone(w.gates[sale].users)
			}
			return nil
		}
		require.NoError(t, w.retryer(t, Config{}).Rebuild(context.Background(), sale))
		if after == nil {
			return
		}
		require.True(t, w.gates[sale].open)
		require.Equal(t, after, w.gates[sale].users)
		require.Equal(t, w.ledger[sale].Epoch, w.gates[sale].epoch)
		if len(w.published) == 0 {
			checkRebuilt(t, w, k, quotaBefore)
		}
	})
}

// Whatever call a rebuild dies at, the gate stays closed or is whole, and the next sweep makes it whole.
func TestARebuildThatDiesAnywhereIsDoneAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyHistory(t)
		k, quotaBefore := knownOf(w), w.ledger[sale].Quota
		wanted := w.ledger[sale].WantedQuota
		diesAt := rapid.IntRange(3, 13).Draw(t, "dies at call") // At the first two nothing has happened yet.
		calls := 0
		w.before = func(string, string) error {
			calls++
			if calls >= diesAt {
				return errAway
			}
			return nil
		}
		if err := w.retryer(t, Config{}).Rebuild(context.Background(), sale); err == nil {
			return
		}
		w.before = nil
		if w.ledger[sale].WantedQuota == 0 && wanted != 0 { // It died after the quota was settled.
			quotaBefore = w.ledger[sale].HighestSlot()
		}
		w.published = nil
		require.NoError(t, w.retryer(t, Config{}).SweepOnce(context.Background()))
		w.released(t)
		checkRebuilt(t, w, k, quotaBefore)
	})
}

// released undoes what the sweep's release of revoked coupons adds, which other tests look at.
func (w *world) released(t require.TestingT) {
	for user, coupon := range w.ledger[sale].coupons {
		if coupon.Slot == domain.NoSlot {
			require.True(t, w.ledger[sale].released[user])
		}
	}
}

// The ledger went back to before the gate was first opened, and Redis is empty: the topic alone knows who was told what.
func TestTheFirstRebuildReadsTheTopicToo(t *testing.T) {
	w := newWorld(sale)
	w.topic = append(w.topic, domain.Delivery{Winner: promise(1, 2, 3, at(1))})
	w.stored = append(w.stored, domain.Delivery{Winner: promise(2, 1, 3, at(2))})
	w.acknowledgeBefore("visit", promise(3, 4, 3, at(3)))
	require.NoError(t, w.retryer(t, Config{}).SweepOnce(t.Context()))
	require.True(t, w.gates[sale].open)
	for user, slot := range map[domain.UserID]domain.Slot{1: 2, 2: 1, 3: 4} {
		assert.Equal(t, slot, w.slotOf(sale, user), "user %d was told this slot", user)
	}
}

func TestAWinnerWhoMovesDuringTheRebuildIsSeenAtLeastOnce(t *testing.T) {
	for _, moment := range []string{"pending", "tail", "visit"} {
		w, r := opened(t, sale)
		w.gates[sale].pending = []domain.PendingEntry{{ID: "a", Winners: []domain.Winner{promise(7, 3, 1, start)}}}
		w.topic = []domain.Delivery{{Winner: promise(8, 4, 1, start)}}
		w.before = func(call, _ string) error {
			if call == moment { // A late answer of Kafka, and a transaction that was already waiting for its commit.
				w.gates[sale].pending = nil
				w.topic = []domain.Delivery{{Winner: promise(7, 3, 1, start)}}
				w.issue(8, 4)
			}
			return nil
		}
		require.NoError(t, r.Rebuild(t.Context(), sale))
		assert.Equal(t, domain.Slot(3), w.slotOf(sale, 7), moment)
		assert.Equal(t, domain.Slot(4), w.slotOf(sale, 8), moment)
	}
}

func TestTheTopicCannotExhaustTheMemory(t *testing.T) {
	u := newUpstream(domain.Campaign{Code: sale, Quota: 10}, start)
	for user := domain.UserID(1); user <= spareClaims+500; user++ {
		u.addBounded(promise(user, 1, 1, start))
	}
	assert.Len(t, u.claims, spareClaims+10)
	assert.Equal(t, 490, u.dropped)
	u.add(promise(1_000_000, 1, 1, start))
	assert.Len(t, u.claims, spareClaims+11, "pending entries are bounded by the gate itself, and are never left out")
}

func TestAdmissionTimesThatCannotBeAreNotBelieved(t *testing.T) {
	u := newUpstream(domain.Campaign{Code: sale, Quota: 10}, start)
	u.add(promise(1, 1, 1, start.AddDate(5000, 0, 0)))
	u.add(promise(2, 2, 1, time.Time{}))
	u.add(promise(3, 3, 1, at(-10)))
	assert.Equal(t, start.UnixMicro(), u.claims[1].admittedAt)
	assert.Positive(t, u.claims[2].admittedAt)
	assert.Equal(t, at(-10).UnixMicro(), u.claims[3].admittedAt)
}

func TestManyPendingEntriesAreAllRead(t *testing.T) {
	w, r := opened(t, sale)
	w.ledger[sale].Quota = 1000
	for user := domain.UserID(1); user <= 2*pendingPage+1; user++ {
		w.gates[sale].pending = append(w.gates[sale].pending, domain.PendingEntry{
			ID: at(int(user)).Format(time.RFC3339), Winners: []domain.Winner{promise(user, domain.Slot(user), 1, at(int(user)))},
		})
	}
	require.NoError(t, r.Rebuild(t.Context(), sale))
	assert.Len(t, w.gates[sale].users, 2*pendingPage+1)
}

func TestManyHoldersAreWrittenInChunks(t *testing.T) {
	w, r := opened(t, sale)
	w.ledger[sale].Quota = 5000
	for user := domain.UserID(1); user <= 2*writeChunk+1; user++ {
		w.issue(user, domain.Slot(user))
	}
	w.calls["write"] = 0
	require.NoError(t, r.Rebuild(t.Context(), sale))
	assert.Equal(t, 3, w.calls["write"])
	assert.Len(t, w.gates[sale].users, 2*writeChunk+1)
}

// watchedHolders says when the holders after the first chunk are being read.
type watchedHolders struct {
	domain.LedgerRebuild
	reading chan struct{}
	read    int
}

func (l *watchedHolders) VisitHolders(ctx context.Context, campaign domain.Campaign, visit func(domain.Holder) error) error {
	return l.LedgerRebuild.VisitHolders(ctx, campaign, func(holder domain.Holder) error {
		l.read++
		if l.read == writeChunk+100 {
			close(l.reading)
		}
		return visit(holder)
	})
}

func TestAWriteThatFailsWhileTheNextPageIsReadEndsTheRebuild(t *testing.T) {
	for name, failing := range map[string]int{"the first": 1, "the last of the ledger": 3} {
		t.Run(name, func(t *testing.T) {
			w, r := opened(t, sale)
			w.ledger[sale].Quota = 3 * writeChunk
			for user := domain.UserID(1); user <= 2*writeChunk+1; user++ {
				w.issue(user, domain.Slot(user))
			}
			holders := &watchedHolders{LedgerRebuild: r.ports.LedgerRebuild, reading: make(chan struct{})}
			r.ports.LedgerRebuild = holders
			w.calls["write"], w.calls["open"] = 0, 0
			writes := 0
			w.before = func(call, _ string) error {
				if call != "write" {
					return nil
				}
				<-holders.reading
				writes++
				if writes == failing {
					return errAway
				}
				return nil
			}
			require.ErrorIs(t, r.Rebuild(t.Context(), sale), errAway)
			assert.Equal(t, failing, writes, "nothing is written after it")
			assert.Zero(t, w.calls["open"])
			assert.False(t, w.gates[sale].open, "half of the winners open no gate")
			if failing == 1 {
				assert.LessOrEqual(t, holders.read, 2*writeChunk, "the rest of the table is not read")
			}

			w.before = nil
			r.ports.LedgerRebuild = holders.LedgerRebuild
			require.NoError(t, r.Rebuild(t.Context(), sale))
			assert.True(t, w.gates[sale].open)
			assert.Len(t, w.gates[sale].users, 2*writeChunk+1)
		})
	}
}

func TestARebuildOfACampaignThatDoesNotExistIsRefused(t *testing.T) {
	_, r := opened(t, sale)
	assert.Equal(t, domain.CodeUnknownCampaign, domain.CodeOf(r.Rebuild(t.Context(), "nowhere")))
}

func TestSlotsAreTakenOnceAndFromTheLowest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		used, model := newSlotSet(), map[domain.Slot]bool{}
		limit := domain.Slot(rapid.Int64Range(1, 200).Draw(t, "limit"))
		for range rapid.IntRange(0, 300).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "lowest") {
				want := domain.Slot(1)
				for model[want] {
					want++
				}
				got, found := used.takeLowest(limit)
				require.Equal(t, want <= limit, found)
				if found {
					require.Equal(t, want, got)
					model[got] = true
				}
				continue
			}
			slot := domain.Slot(rapid.Int64Range(-1, 220).Draw(t, "slot"))
			require.Equal(t, slot >= 1 && !model[slot], used.take(slot))
			if slot >= 1 {
				model[slot] = true
			}
		}
		require.False(t, used.take(domain.MaxQuota+1))
	})
}

// Else the gate alone would know of the slot: the user hears of it, and the next loss of Redis gives it to another one.
func TestASlotThatARebuildGivesToAFailEventIsSentBeforeItIsTold(t *testing.T) {
	w, r := opened(t, sale)
	w.see(func() {
		event := refusedEvent(7, domain.NoSlot, 1)
		event.Reason = domain.ReasonSlotTaken
		w.fail(event)
		w.gates[sale].open = false
	})
	require.NoError(t, r.Rebuild(t.Context(), sale))
	given := w.slotOf(sale, 7)
	require.Equal(t, domain.Slot(1), given)
	var sent []domain.Slot
	for _, entry := range w.gates[sale].pending {
		for _, winner := range entry.Winners {
			sent = append(sent, winner.Slot)
		}
	}
	assert.Equal(t, []domain.Slot{given}, sent, "the record that names the slot waits to be sent")
}

// The ledger went back and Redis is empty, so neither tells the epochs that there were; records and processes of them are
// still about.
func TestAnEpochNeverRecursWhenTheLedgerGoesBackAndRedisIsLost(t *testing.T) {
	stored := func(w *world, count int, epoch int64) {
		w.stored = append(w.stored, domain.Delivery{Winner: promise(1, 1, epoch, start)})
		for range count {
			w.stored = append(w.stored, domain.Delivery{Winner: promise(2, 2, 1, start)})
		}
	}
	for name, test := range map[string]struct {
		lost func(*world)
		next int64
	}{
		"nothing is known":                    {func(*world) {}, 6},
		"this process saw it":                 {func(w *world) { w.seen = 8 }, 9},
		"what it saw can't be":                {func(w *world) { w.seen = 7 + domain.MaxEpochLead }, 6},
		"a record in the tail":                {func(w *world) { w.topic = []domain.Delivery{{Winner: promise(1, 1, 7, start)}} }, 8},
		"a record of the epoch that comes":    {func(w *world) { w.topic = []domain.Delivery{{Winner: promise(1, 1, 6, start)}} }, 7},
		"one of the newest committed records": {func(w *world) { stored(w, 1, 7) }, 8},
		"an older committed record":           {func(w *world) { stored(w, lookBack, 7) }, 8},
		"a record's epoch that can't be":      {func(w *world) { stored(w, 1, 7+domain.MaxEpochLead) }, 6},
		"a record of another campaign's epoch": {func(w *world) {
			w.topic = []domain.Delivery{{Winner: domain.Winner{Campaign: "autumn", UserID: 1, Slot: 1, Epoch: 9}}}
		}, 6},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(sale)
			w.ledger[sale].Epoch = 5
			test.lost(w)
			require.NoError(t, w.retryer(t, Config{}).SweepOnce(t.Context()))
			assert.True(t, w.gates[sale].open)
			assert.Equal(t, test.next, w.gates[sale].epoch)
			assert.Equal(t, test.next, w.ledger[sale].Epoch)
		})
	}
}

// What an overtaken rebuild reads of the newer one's winners is no epoch that recurs.
func TestAnOvertakenRebuildDoesNotTakeTheNewerEpochForALostOne(t *testing.T) {
	w, r := opened(t, sale)
	overtaken := false
	w.before = func(call, _ string) error {
		if call == "tail" && !overtaken {
			overtaken = true
			require.NoError(t, w.retryer(t, Config{}).Rebuild(t.Context(), sale))
			w.topic = append(w.topic, domain.Delivery{Winner: promise(1, 1, 3, start)})
		}
		return nil
	}
	require.NoError(t, r.Rebuild(t.Context(), sale))
	assert.True(t, w.gates[sale].open)
	assert.EqualValues(t, 3, w.gates[sale].epoch)
}
