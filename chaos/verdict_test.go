package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"firstcome/domain"
)

func at(seconds int) time.Duration { return time.Duration(seconds) * time.Second }

func told(user domain.UserID, second int, what outcome, slot domain.Slot) answer {
	return answer{user: user, sent: at(second), answered: at(second) + time.Millisecond, outcome: what, slot: slot, text: string(what)}
}

// a sale of 3 that is sold out: users 1 to 3 hold the slots 1 to 3, user 4 was refused.
func soundRun() (*record, facts) {
	r := newRecord()
	r.marks = []mark{{at: at(0)}}
	r.answers = []answer{
		told(1, 10, accepted, 1), told(2, 11, reserved, 0), told(3, 12, unknown, 0), told(4, 13, soldOut, 0), told(2, 14, accepted, 2),
	}
	f := facts{
		quota: 3, count: 3, soldOut: true, holders: map[domain.UserID]domain.Slot{1: 1, 2: 2, 3: 3},
		rows: []row{{user: 1, slot: 1, admitted: at(10)}, {user: 2, slot: 2, admitted: at(11)}, {user: 3, slot: 3, admitted: at(12)}},
	}
	return r, f
}

func TestASoundRunHasNoDifference(t *testing.T) {
	found := judge(soundRun())
	assert.Empty(t, found.differences)
	assert.Equal(t, 3, found.ordered)
}

func TestEachBrokenPromiseIsTold(t *testing.T) {
	for name, spoil := range map[string]struct {
		how  func(*record, *facts)
		want string
	}{
		"an accepted winner is lost": {func(r *record, _ *facts) {
			r.answers = append(r.answers, told(5, 12, accepted, 0))
		}, "neither a coupon nor"},
		"an accepted winner is lost with Redis": {func(r *record, _ *facts) {
			r.answers = append(r.answers, told(5, 12, accepted, 0))
			r.lost = []time.Duration{at(12)}
		}, "neither a coupon nor"},
		"a reserved winner is lost although Redis lost nothing": {func(r *record, _ *facts) {
			r.answers = append(r.answers, told(5, 12, reserved, 0))
		}, "neither a coupon nor"},
		"a reserved winner is lost that Redis lost after a settlement": {func(r *record, _ *facts) {
			r.answers = append(r.answers, told(5, 12, reserved, 0))
			r.settled, r.lost = []time.Duration{at(20)}, []time.Duration{at(30)}
		}, "neither a coupon nor"},
		"a reserved winner is lost who applied after Redis's loss": {func(r *record, _ *facts) {
			r.answers = append(r.answers, told(5, 12, reserved, 0))
			r.lost = []time.Duration{at(11)}
		}, "neither a coupon nor"},
		"the slot is not the one that was told": {func(r *record, _ *facts) {
			r.answers = append(r.answers, told(3, 14, accepted, 2))
		}, "the coupon has slot 3"},
		"a winner is told sold out": {func(r *record, _ *facts) {
			r.answers = append(r.answers, told(1, 14, soldOut, 0))
		}, "and before user 1 was told"},
		"a winner without an answer is told sold out": {func(r *record, _ *facts) {
			r.answers = append(r.answers, told(3, 20, soldOut, 0))
		}, "had been admitted to slot 3"},
		"somebody is told revoked that nobody revoked": {func(r *record, _ *facts) {
			r.answers = append(r.answers, told(1, 14, revoked, 0))
		}, "no operator"},
		"one user has two rows": {func(_ *record, f *facts) {
			f.rows[2].user = 2
		}, "user 2 has two rows"},
		"one slot has two rows": {func(_ *record, f *facts) {
			f.rows[2].slot = 2
		}, "slot 2 is held by"},
		"there are more rows than the quota": {func(_ *record, f *facts) {
			f.quota = 2
		}, "3 coupons, and the quota is 2"},
		"a slot above the quota": {func(_ *record, f *facts) {
			f.rows[2].slot = 4
		}, "holds slot 4"},
		"a slot is with nobody": {func(_ *record, f *facts) {
			f.count, f.quota = 4, 4
		}, "slot 4 of 4 handed out"},
		"a slot is free and held": {func(_ *record, f *facts) {
			f.free = []domain.Slot{2}
		}, "slot 2 of 3 handed out"},
		"Redis says otherwise than the database": {func(_ *record, f *facts) {
			f.holders[3] = 2
		}, "by Redis slot 2"},
		"a slot is held that Redis has not handed out": {func(_ *record, f *facts) {
			f.count = 2
		}, "handed out only 2"},
		"sold out too early": {func(_ *record, f *facts) {
			f.quota = 4
		}, "sold out with 3 slots"},
		"slots are not in the order of admission": {func(_ *record, f *facts) {
			f.rows[0].admitted = at(13)
		}, "user 2 was admitted to slot 2 at 11.000 s, and user 1 to slot 1 later"},
		"slots are not in the order of admission after a settlement": {func(r *record, f *facts) {
			r.marks = append(r.marks, mark{at(1), 1})
			f.rows[1].admitted = at(13)
		}, "user 3 was admitted to slot 3 at 12.000 s, and user 2 to slot 2 later"},
		"a coupon for somebody who never applied": {func(r *record, _ *facts) {
			r.answers = r.answers[:2]
		}, "never applied"},
	} {
		t.Run(name, func(t *testing.T) {
			r, f := soundRun()
			spoil.how(r, &f)
			assert.Contains(t, strings.Join(judge(r, f).differences, "\n"), spoil.want)
		})
	}
}

func TestWhatIsNotPromisedIsExcused(t *testing.T) {
	for name, excused := range map[string]func(*record, *facts){
		"a reserved winner is lost with Redis": func(r *record, _ *facts) {
			r.answers = append(r.answers, told(5, 12, reserved, 0), told(5, 20, soldOut, 0))
			r.lost = []time.Duration{at(15)}
		},
		"an accepted winner waits as a fail event": func(r *record, f *facts) {
			r.answers = append(r.answers, told(5, 12, accepted, 0))
			f.events = []event{{user: 5, status: domain.FailStatusDead}}
		},
		"a fail event holds a slot": func(_ *record, f *facts) {
			f.events = []event{{user: 3, slot: 3, status: domain.FailStatusDead}}
			f.rows = f.rows[:2]
		},
		"an operator has revoked the coupon": func(r *record, f *facts) {
			r.answers = append(r.answers, told(1, 20, revoked, 0), told(5, 20, accepted, 1))
			r.givenUp[1] = true
			f.rows[0] = row{user: 1, revoked: true, revokedSlot: 1}
			f.rows = append(f.rows, row{user: 5, slot: 1, admitted: at(20)})
			f.holders[1], f.holders[5] = 0, 1
		},
		"a stranger's record was put on the topic": func(r *record, _ *facts) {
			r.answers = append(r.answers[:2:2], r.answers[3:]...)
			r.strangers[3] = true
		},
		"somebody won after being told sold out": func(r *record, _ *facts) {
			r.answers = append(r.answers, told(3, 9, soldOut, 0))
		},
		"a slot below the mark is given to somebody later": func(r *record, f *facts) {
			r.marks = []mark{{at(1), 1}}
			f.rows[0].admitted = at(13)
		},
		"a slot that Redis has lost is given to somebody later": func(r *record, f *facts) {
			r.lost = []time.Duration{at(14)}
			f.rows[0].admitted = at(14)
		},
		"a revoked slot is given to somebody later": func(r *record, f *facts) {
			r.answers = append(r.answers, told(5, 9, accepted, 1))
			r.givenUp[5] = true
			f.rows[0].admitted = at(14)
			f.rows = append(f.rows, row{user: 5, revoked: true, revokedSlot: 1, admitted: at(9)})
		},
		"a slot was got by way of a fail event": func(_ *record, f *facts) {
			f.rows[0].admitted = at(14)
			f.events = []event{{user: 1, slot: 1, status: domain.FailStatusSuccess, resolved: true}}
		},
		"Redis's clock was set back": func(r *record, f *facts) {
			r.clockShifted = []span{{at(11), at(12)}}
			f.rows[0].admitted = at(14)
		},
		"Redis's clock was set back after the next mark": func(r *record, f *facts) {
			r.marks = append(r.marks, mark{at(20), 3})
			r.clockShifted = []span{{at(25), at(30)}}
			r.answers = append(r.answers, told(5, 27, accepted, 4))
			f.rows = append(f.rows, row{user: 5, slot: 4, admitted: -at(100)})
			f.holders[5] = 4
			f.quota, f.count = 4, 4
		},
		"a slot above a lowered quota": func(_ *record, f *facts) {
			f.rows[2].slot, f.holders[3], f.count, f.free, f.highestSlot = 4, 4, 4, []domain.Slot{3}, 4
		},
		"nobody had to sell everything": func(_ *record, f *facts) { f.quota, f.soldOut = 4, false },
	} {
		t.Run(name, func(t *testing.T) {
			r, f := soundRun()
			excused(r, &f)
			assert.Empty(t, judge(r, f).differences)
		})
	}
}

func TestAnAnswerMeansWhatItsBodySays(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		want   outcome
		slot   domain.Slot
	}{
		"new":         {202, `{"user_id":"7","status":"accepted","slot":3}`, accepted, 3},
		"asked again": {200, `{"user_id":"7","status":"issued","slot":3}`, accepted, 3},
		"reserved":    {202, `{"user_id":"7","status":"reserved"}`, reserved, 0},
		"sold out":    {409, `{"type":"urn:x:sold-out","status":409}`, soldOut, 0},
		"revoked":     {409, `{"type":"urn:x:revoked","status":409}`, revoked, 0},
		"paused":      {409, `{"type":"urn:x:paused","status":409}`, refused, 0},
		"closed":      {503, `{"type":"urn:x:gate-closed","status":503}`, unknown, 0},
		"cut off":     {202, `{"user_id":"7","sta`, unknown, 0},
		"strange":     {200, `{"status":"perhaps"}`, unknown, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := readAnswer(test.status, []byte(test.body))
			assert.Equal(t, test.want, got.outcome)
			assert.Equal(t, test.slot, got.slot)
		})
	}
}
