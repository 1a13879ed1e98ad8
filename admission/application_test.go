package admission

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/admission/admissiontest"
	"firstcome/domain"
)

func TestOneUserAHundredTimesAtOnceIsOneWinner(t *testing.T) {
	b := newFixture(t).start()
	known := make(chan bool, 100)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			got := b.apply(42)
			assert.NoError(t, got.Err)
			known <- got.Known
		})
	}
	all.Wait()
	close(known)
	counts := map[bool]int{}
	for was := range known {
		counts[was]++
	}
	assert.Equal(t, map[bool]int{false: 1, true: 99}, counts)
	assert.Len(t, b.queue.Winners(), 1)
}

func TestKafkaAwayIsAReservationWithoutASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.queue.Publishing = func(ctx context.Context, _ domain.Winner) error {
			<-ctx.Done()
			return domain.Wrap(domain.CodeOutcomeUnknown, errDriver, "no acknowledgement")
		}
		b.start()
		began := time.Now()
		got := b.apply(42)
		require.NoError(t, got.Err)
		assert.Equal(t, StatusReserved, got.Winner.Status)
		assert.Zero(t, got.Winner.Slot, "the slot may still change if Redis is lost too")
		assert.Equal(t, 3*time.Second, time.Since(began), "ProduceTimeout is how long an applicant waits")
		assert.Equal(t, []string{"admit"}, b.gate.Called(), "what is not in Kafka must stay pending")

		again := b.apply(42)
		require.True(t, again.Known)
		assert.Equal(t, StatusReserved, again.Winner.Status)
		assert.Zero(t, again.Winner.Slot)
		b.close()
	})
}

func TestARebuiltGateIsAskedAgain(t *testing.T) {
	epochChanged := domain.Errorf(domain.CodeEpochChanged, "rebuilt")
	winner := func(slot domain.Slot) domain.Winner {
		return domain.Winner{Campaign: "spring", UserID: 42, Slot: slot, AdmittedAt: admissiontest.AdmittedAt, Epoch: 2}
	}
	cases := map[string]struct {
		honoured  domain.Admission
		honourErr error
		failures  int         // how many confirmations say that the epoch changed
		slot      domain.Slot // 0: the answer has none
		delayed   bool
		problem   domain.Code
		calls     []string
		published int
	}{
		"it has given a slot anew": {
			honoured: domain.Admission{Winner: winner(9), New: true}, failures: 1,
			slot: 9, calls: []string{"admit", "confirm", "honour", "confirm"}, published: 2,
		},
		"it knows the user from Kafka": {
			honoured: domain.Admission{Winner: winner(1), InQueue: true}, failures: 1,
			slot: 1, calls: []string{"admit", "confirm", "honour"}, published: 1,
		},
		"it knows the user, the new record is on its way": {
			honoured: domain.Admission{Winner: winner(9)}, failures: 1,
			calls: []string{"admit", "confirm", "honour"}, published: 1,
		},
		"it is sold out": {
			honourErr: domain.Errorf(domain.CodeSoldOut, ""), failures: 1,
			delayed: true, calls: []string{"admit", "confirm", "honour"}, published: 1,
		},
		"the user's coupon was revoked": {
			honourErr: domain.Errorf(domain.CodeRevoked, ""), failures: 1,
			problem: domain.CodeRevoked, calls: []string{"admit", "confirm", "honour"}, published: 1,
		},
		"it is rebuilt once more": {
			honoured: domain.Admission{Winner: winner(9), New: true}, failures: 2,
			calls: []string{"admit", "confirm", "honour", "confirm"}, published: 2,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFixture(t)
				b.gate.ToldFrom = time.Now().Add(refusalLease)
				failures := c.failures
				b.gate.Confirming = func(context.Context, int64) error {
					failures--
					if failures >= 0 {
						return epochChanged
					}
					return nil
				}
				b.gate.Honouring = func(context.Context, domain.UserID) (domain.Admission, error) { return c.honoured, c.honourErr }
				b.start()
				defer b.close()
				began := time.Now()
				got := b.apply(42)
				asked := strings.Count(strings.Join(c.calls, " "), "honour")
				assert.Equal(t, time.Duration(asked)*refusalLease, time.Since(began), "what other processes hold in memory is over")
				assert.Equal(t, c.calls, b.gate.Called())
				assert.Len(t, b.queue.Winners(), c.published)
				if c.problem != "" {
					requireCode(t, c.problem, got)
					return
				}
				require.NoError(t, got.Err)
				assert.Equal(t, StatusAccepted, got.Winner.Status, "the first record is in Kafka, and an open gate knew the user after that")
				assert.Equal(t, c.slot, got.Winner.Slot)
				assert.Equal(t, c.delayed, got.Winner.Delayed)
			})
		})
	}
}

func TestNothingIsPromisedBeforeAnOpenGateConfirms(t *testing.T) {
	for _, err := range []error{
		admissiontest.ErrClosed(), domain.Errorf(domain.CodeOutcomeUnknown, "no Answer"), errAway(), context.DeadlineExceeded, errDriver,
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newFixture(t)
			b.gate.ConfirmingWith(err)
			b.start()
			defer b.close()
			began := time.Now()
			got := b.apply(42)
			require.NoError(t, got.Err, "%v", err)
			assert.Equal(t, StatusReserved, got.Winner.Status, "%v: a rebuild may have missed the record", err)
			assert.Zero(t, got.Winner.Slot, "%v", err)
			assert.InDelta(t, confirmPatience, time.Since(began), float64(longestConfirmPause))
			asked := strings.Count(strings.Join(b.gate.Called(), " "), "confirm")
			assert.Less(t, asked, 20, "the pauses grow")
			assert.True(t, b.gate.Entries[42], "the entry stays for the rebuild and the relay")
		})
	}
}

func TestWhoWaitsForAClosedGateHearsWhatHoldsWhenItIsOpen(t *testing.T) {
	closed, changed := admissiontest.ErrClosed(), domain.Errorf(domain.CodeEpochChanged, "rebuilt")
	known := domain.Admission{
		Winner: domain.Winner{Campaign: "spring", UserID: 42, Slot: 1, AdmittedAt: admissiontest.AdmittedAt, Epoch: 2}, InQueue: true,
	}
	cases := map[string]struct {
		confirming []error
		honourErr  error
		closedFor  int // how many times the gate is closed again when it is asked to honour
		slot       domain.Slot
		delayed    bool
	}{
		"it opens as it was":          {confirming: []error{closed, closed, nil}, slot: 1},
		"it opens rebuilt":            {confirming: []error{closed, closed, changed}, slot: 1},
		"it closes before it honours": {confirming: []error{closed, changed}, closedFor: 2, slot: 1},
		"it opens rebuilt, and has no slot": {
			confirming: []error{closed, changed}, honourErr: domain.Errorf(domain.CodeSoldOut, ""), delayed: true,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFixture(t)
				b.gate.ConfirmingWith(c.confirming...)
				closedFor := c.closedFor
				b.gate.Honouring = func(context.Context, domain.UserID) (domain.Admission, error) {
					if closedFor > 0 {
						closedFor--
						return domain.Admission{}, closed
					}
					return known, c.honourErr
				}
				b.start()
				defer b.close()
				got := b.apply(42)
				require.NoError(t, got.Err)
				assert.Equal(t, StatusAccepted, got.Winner.Status)
				assert.Equal(t, c.slot, got.Winner.Slot)
				assert.Equal(t, c.delayed, got.Winner.Delayed)
			})
		})
	}
}

func TestWhoWaitsForAClosedGateHoldsUpNobodyAndIsNotOneTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.cfg.KafkaCrowd = 1
		b.gate.Quota = 10
		b.gate.ConfirmingWith(admissiontest.ErrClosed())
		b.start()
		defer b.close()
		b.service.limits.unconfirmed.take(0, maxUnconfirmed-1)
		var waiting sync.WaitGroup
		waiting.Go(func() { assert.Equal(t, StatusReserved, b.apply(1).Winner.Status) })
		time.Sleep(time.Second)
		began := time.Now()
		assert.Equal(t, StatusReserved, b.apply(2).Winner.Status, "there is room for one, and it is taken")
		assert.Less(t, time.Since(began), confirmPause, "the crowd at the gate is none on the way to Kafka")
		waiting.Wait()
		assert.EqualValues(t, maxUnconfirmed-1, b.service.limits.unconfirmed.taken.Load())
	})
}

func TestASecondPublicationThatFailsLeavesTheFirstPromise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.gate.Confirming = func(context.Context, int64) error { return domain.Errorf(domain.CodeEpochChanged, "") }
		b.gate.Honouring = func(context.Context, domain.UserID) (domain.Admission, error) {
			return domain.Admission{Winner: domain.Winner{Campaign: "spring", UserID: 42, Slot: 5, Epoch: 2}, New: true}, nil
		}
		b.queue.Publishing = func(_ context.Context, winner domain.Winner) error {
			if winner.Epoch == 2 {
				return errAway()
			}
			return nil
		}
		got := b.start().apply(42)
		require.NoError(t, got.Err)
		assert.Equal(t, StatusAccepted, got.Winner.Status)
		assert.Zero(t, got.Winner.Slot)
		b.close()
	})
}

func TestAClientThatLeavesAfterTheAdmissionIsPublishedAndConfirmed(t *testing.T) {
	b := newFixture(t)
	ctx, leave := context.WithCancel(t.Context())
	b.queue.Publishing = func(context.Context, domain.Winner) error { leave(); return nil }
	b.start()
	b.service.Apply(ctx, "spring", 42)
	assert.Len(t, b.queue.Winners(), 1)
	assert.Equal(t, []string{"admit", "confirm"}, b.gate.Called())
	assert.Empty(t, b.gate.Entries, "the fakes refuse ended contexts, so the pending entry would still be there")
}

func TestWhoStillWaitsWhenTheTimeIsOverIsNotAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.gate.Admitting = func(ctx context.Context) { <-ctx.Done() }
		b.start()
		began := time.Now()
		requireCode(t, domain.CodeOverloaded, b.apply(42))
		assert.Equal(t, time.Second, time.Since(began), "AdmitTimeout")
		assert.Empty(t, b.queue.Winners())
		b.close()
	})
}
