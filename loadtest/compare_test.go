package loadtest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"firstcome/domain"
)

func accepted(user domain.UserID, slot domain.Slot) Answer {
	return Answer{UserID: user, Outcome: Accepted, Status: 202, Code: "accepted", Slot: slot, AnsweredFor: user}
}

func reserved(user domain.UserID) Answer {
	return Answer{UserID: user, Outcome: Reserved, Status: 202, Code: "reserved", AnsweredFor: user}
}

func soldOut(user domain.UserID) Answer {
	return Answer{UserID: user, Outcome: Refused, Status: 409, Code: domain.CodeSoldOut}
}

func unknown(user domain.UserID) Answer {
	return Answer{UserID: user, Outcome: Unknown, Code: codeTimeout}
}

func coupon(user domain.UserID, slot domain.Slot) domain.Coupon {
	return domain.Coupon{UserID: user, Slot: slot}
}

func admitted(user domain.UserID, slot domain.Slot, second int64) domain.Coupon {
	return domain.Coupon{UserID: user, Slot: slot, AdmittedAt: time.Unix(second, 0)}
}

func revoked(user domain.UserID, slot domain.Slot) domain.Coupon {
	return domain.Coupon{UserID: user, RevokedSlot: slot, RevokedAt: time.Unix(1, 0)}
}

func failEvent(user domain.UserID, slot domain.Slot, status domain.FailStatus) domain.FailEvent {
	return domain.FailEvent{Winner: domain.Winner{UserID: user, Slot: slot}, Status: status}
}

func discarded(event domain.FailEvent) domain.FailEvent {
	event.DiscardedAt = time.Unix(1, 0)
	return event
}

func TestCompareFindsEachBrokenPromiseAndNothingElse(t *testing.T) {
	for name, test := range map[string]struct {
		facts Facts
		want  []DifferenceKind
	}{
		"nobody applied": {facts: Facts{Quota: 2, Exclusive: true}},
		"all kept": {facts: Facts{
			Quota: 2, Exclusive: true,
			Answers: []Answer{accepted(1, 2), accepted(2, 1), soldOut(3)},
			Coupons: []domain.Coupon{coupon(2, 1), coupon(1, 2)},
		}},
		"admitted in another order than that of the slots": {
			facts: Facts{
				Quota: 3, Exclusive: true, Answers: []Answer{accepted(1, 1), accepted(2, 2), accepted(3, 3)},
				Coupons: []domain.Coupon{admitted(1, 1, 5), admitted(3, 3, 7), admitted(2, 2, 4)},
			},
			want: []DifferenceKind{OutOfOrder},
		},
		"a slot that was free again goes to a later user": {facts: Facts{
			Quota: 3, Exclusive: true, Answers: []Answer{accepted(1, 1), accepted(2, 2), accepted(3, 1)},
			Coupons: []domain.Coupon{revoked(1, 1), admitted(2, 2, 4), admitted(3, 1, 5)},
		}},
		"an answer was lost, and so may a slot be": {facts: Facts{
			Quota: 2, Exclusive: true, Answers: []Answer{unknown(1), accepted(2, 2)},
			Coupons: []domain.Coupon{admitted(1, 1, 5), admitted(2, 2, 4)},
		}},
		"accepted and lost": {
			facts: Facts{Quota: 2, Answers: []Answer{accepted(1, 1)}},
			want:  []DifferenceKind{LostAccepted},
		},
		"accepted without a slot and lost": {
			facts: Facts{Quota: 2, Answers: []Answer{accepted(1, 0)}},
			want:  []DifferenceKind{LostAccepted},
		},
		"reserved and lost": {
			facts: Facts{Quota: 2, Answers: []Answer{reserved(1)}},
			want:  []DifferenceKind{LostReserved},
		},
		"reserved and issued with whatever slot": {facts: Facts{
			Quota: 2, Answers: []Answer{reserved(1), accepted(2, 0)}, Coupons: []domain.Coupon{coupon(1, 2), coupon(2, 1)},
		}},
		"accepted and delayed": {facts: Facts{
			Quota: 2, Answers: []Answer{accepted(1, 1)},
			FailEvents: []domain.FailEvent{failEvent(1, 1, domain.FailStatusDead)},
		}},
		"the fail event was resolved and the coupon is not there": {
			facts: Facts{
				Quota: 2, Answers: []Answer{accepted(1, 1)},
				FailEvents: []domain.FailEvent{failEvent(1, 1, domain.FailStatusSuccess)},
			},
			want: []DifferenceKind{LostAccepted},
		},
		"the fail event was discarded and no row is there": {
			facts: Facts{
				Quota: 2, Answers: []Answer{accepted(1, 1)},
				FailEvents: []domain.FailEvent{discarded(failEvent(1, 1, domain.FailStatusDead))},
			},
			want: []DifferenceKind{LostAccepted},
		},
		"an unreadable record's fail event is nobody's": {
			facts: Facts{
				Quota: 2, Answers: []Answer{accepted(1, 1)},
				FailEvents: []domain.FailEvent{failEvent(0, 0, domain.FailStatusFail)},
			},
			want: []DifferenceKind{LostAccepted},
		},
		"another slot": {
			facts: Facts{
				Quota: 2, Answers: []Answer{accepted(1, 1), accepted(2, 2)},
				Coupons: []domain.Coupon{coupon(1, 2), coupon(2, 1)},
			},
			want: []DifferenceKind{OtherSlot, OtherSlot},
		},
		"issued to a refused user": {
			facts: Facts{Quota: 2, Answers: []Answer{soldOut(1)}, Coupons: []domain.Coupon{coupon(1, 1)}},
			want:  []DifferenceKind{IssuedToRefused},
		},
		"revoked, then refused": {facts: Facts{
			Quota: 2, Answers: []Answer{soldOut(1)}, Coupons: []domain.Coupon{revoked(1, 1)},
		}},
		"accepted, then revoked": {facts: Facts{
			Quota: 2, Answers: []Answer{accepted(1, 1)}, Coupons: []domain.Coupon{revoked(1, 1)},
		}},
		"accepted, then revoked with another slot": {
			facts: Facts{Quota: 2, Answers: []Answer{accepted(1, 2)}, Coupons: []domain.Coupon{revoked(1, 1)}},
			want:  []DifferenceKind{OtherSlot},
		},
		"unknown may have a coupon or none": {facts: Facts{
			Quota: 2, Exclusive: true, Answers: []Answer{unknown(1), unknown(2)}, Coupons: []domain.Coupon{coupon(1, 1)},
		}},
		"a stranger in a campaign of our own": {
			facts: Facts{Quota: 2, Exclusive: true, Coupons: []domain.Coupon{coupon(9, 1)}},
			want:  []DifferenceKind{IssuedToStranger},
		},
		"a user that the run did not reach has a coupon": {
			facts: Facts{
				Quota: 2, Exclusive: true, Answers: []Answer{{UserID: 9}}, Coupons: []domain.Coupon{coupon(9, 1)},
			},
			want: []DifferenceKind{IssuedToStranger},
		},
		"earlier users of a campaign that was there": {facts: Facts{
			Quota: 2, Answers: []Answer{accepted(1, 2), soldOut(3)}, Coupons: []domain.Coupon{coupon(9, 1), coupon(1, 2)},
		}},
		"earlier users count for the quota": {
			facts: Facts{
				Quota: 1, Answers: []Answer{accepted(1, 1)}, Coupons: []domain.Coupon{coupon(9, 2), coupon(1, 1)},
			},
			want: []DifferenceKind{SlotOutOfRange, OverQuota},
		},
		"slot twice": {
			facts: Facts{
				Quota: 3, Answers: []Answer{accepted(1, 1), accepted(2, 1)},
				Coupons: []domain.Coupon{coupon(1, 1), coupon(2, 1)},
			},
			want: []DifferenceKind{SlotTwice},
		},
		"a revoked slot that was given again": {facts: Facts{
			Quota: 1, Answers: []Answer{accepted(1, 1), accepted(2, 1)},
			Coupons: []domain.Coupon{revoked(1, 1), coupon(2, 1)},
		}},
		"user twice": {
			facts: Facts{
				Quota: 3, Answers: []Answer{accepted(1, 2)}, Coupons: []domain.Coupon{coupon(1, 1), coupon(1, 2)},
			},
			want: []DifferenceKind{UserTwice},
		},
		"slot below 1": {
			facts: Facts{Quota: 3, Coupons: []domain.Coupon{coupon(1, -1)}},
			want:  []DifferenceKind{SlotOutOfRange},
		},
		"a gap in the middle": {
			facts: Facts{Quota: 9, Coupons: []domain.Coupon{coupon(1, 1), coupon(2, 4)}},
			want:  []DifferenceKind{SlotGap},
		},
		"a gap at the start, and another": {
			facts: Facts{Quota: 9, Coupons: []domain.Coupon{coupon(1, 3), coupon(2, 9)}},
			want:  []DifferenceKind{SlotGap, SlotGap},
		},
		"a gap that a fail event and a revoked coupon explain": {facts: Facts{
			Quota: 9, Coupons: []domain.Coupon{coupon(1, 1), revoked(2, 2), coupon(3, 4)},
			FailEvents: []domain.FailEvent{failEvent(4, 3, domain.FailStatusFail)},
		}},
		"sold out too early": {
			facts: Facts{
				Quota: 2, Exclusive: true, Answers: []Answer{accepted(1, 1), soldOut(2)},
				Coupons: []domain.Coupon{coupon(1, 1)},
			},
			want: []DifferenceKind{FalseSoldOut},
		},
		"sold out too early, and an unreadable record holds no slot": {
			facts: Facts{
				Quota: 1, Exclusive: true, Answers: []Answer{soldOut(2)},
				FailEvents: []domain.FailEvent{failEvent(0, 0, domain.FailStatusDead)},
			},
			want: []DifferenceKind{FalseSoldOut},
		},
		"sold out, because a fail event holds the last slot": {facts: Facts{
			Quota: 1, Exclusive: true, Answers: []Answer{accepted(1, 1), soldOut(2)},
			FailEvents: []domain.FailEvent{failEvent(1, 1, domain.FailStatusFail)},
		}},
		"sold out, and one answer was lost": {facts: Facts{
			Quota: 1, Exclusive: true, Answers: []Answer{unknown(1), soldOut(2)},
		}},
		"sold out, and the slot was taken back later": {facts: Facts{
			Quota: 1, Exclusive: true, Answers: []Answer{accepted(1, 1), soldOut(2)},
			Coupons: []domain.Coupon{revoked(1, 1)},
		}},
		"sold out in a campaign of others": {facts: Facts{Quota: 2, Answers: []Answer{soldOut(2)}}},
		"the answer of another user": {
			facts: Facts{
				Quota: 2, Coupons: []domain.Coupon{coupon(1, 1)},
				Answers: []Answer{{UserID: 2, Outcome: Accepted, Slot: 1, AnsweredFor: 1}},
			},
			want: []DifferenceKind{WrongUser},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var kinds []DifferenceKind
			for _, difference := range Compare(test.facts).Differences {
				kinds = append(kinds, difference.Kind)
				assert.NotEmpty(t, difference.Detail)
			}
			assert.Equal(t, test.want, kinds)
		})
	}
}

func TestCompareCountsWhatIsNoDifference(t *testing.T) {
	got := Compare(Facts{
		Quota:   9,
		Answers: []Answer{accepted(1, 1), accepted(2, 2), reserved(3)},
		Coupons: []domain.Coupon{coupon(1, 1), revoked(4, 4)},
		FailEvents: []domain.FailEvent{
			failEvent(2, 2, domain.FailStatusFail), failEvent(3, 3, domain.FailStatusProcessing),
			failEvent(8, 5, domain.FailStatusFail),
		},
	})
	assert.Equal(t, Comparison{Issued: 1, Revoked: 1, Delayed: 2}, got)
}

// A server that keeps its promises must never be accused, whatever the order, the losses of answers and the delays.
func TestCompareFindsNothingInAnyCorrectRun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := Facts{Quota: rapid.Int64Range(1, 20).Draw(t, "quota"), Exclusive: rapid.Bool().Draw(t, "exclusive")}
		users := rapid.IntRange(0, 40).Draw(t, "users")
		for index := range users {
			user, slot := domain.UserID(index+1), domain.Slot(index+1)
			told := soldOut(user)
			if int64(slot) <= facts.Quota {
				told = rapid.SampledFrom([]Answer{accepted(user, slot), reserved(user), unknown(user)}).Draw(t, "told")
				switch rapid.IntRange(0, 9).Draw(t, "fate") {
				case 0:
					event := failEvent(user, slot, domain.FailStatusDead)
					facts.FailEvents = append(facts.FailEvents, event)
				case 1:
					facts.Coupons = append(facts.Coupons, revoked(user, slot))
				default:
					facts.Coupons = append(facts.Coupons, coupon(user, slot))
				}
			}
			facts.Answers = append(facts.Answers, told)
		}
		assert.Empty(t, Compare(facts).Differences)
	})
}

// However absurd the numbers, comparing them ends.
func TestCompareEndsWithAbsurdSlots(t *testing.T) {
	got := Compare(Facts{Quota: 5, Coupons: []domain.Coupon{coupon(1, 1<<62), coupon(2, -1<<62), coupon(3, 5)}})
	assert.Len(t, got.Differences, 3, "two slots out of range and one gap: %v", got.Differences)
}
