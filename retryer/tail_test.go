package retryer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// slowTail takes a second a reading, and shows the records that were on it when the reading began.
type slowTail struct {
	mu       sync.Mutex
	records  []domain.Winner
	readings int
	fails    error
}

func (t *slowTail) ReadTail(
	ctx context.Context, from domain.TailEnds, visit func(domain.Delivery) error,
) (domain.TailEnds, error) {
	t.mu.Lock()
	t.readings++
	records, fails := t.records, t.fails
	t.mu.Unlock()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for _, record := range records[from[0].Offset:] {
		if err := visit(domain.Delivery{Winner: record}); err != nil {
			return nil, err
		}
	}
	return domain.TailEnds{0: {Offset: int64(len(records))}}, fails
}

func (t *slowTail) write(user domain.UserID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records = append(t.records, domain.Winner{Campaign: "c", UserID: user})
}

// count reads the tail and counts what was seen.
func count(ctx context.Context, tail domain.TailReader) (int, error) {
	seen := 0
	_, err := tail.ReadTail(ctx, nil, func(domain.Delivery) error { seen++; return nil })
	return seen, err
}

func TestAllWhoWaitReadTheTailTogetherAndSeeWhatWasOnItWhenTheyAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		under := &slowTail{}
		under.write(1)
		tail := newSharedTail(under)
		var asking sync.WaitGroup
		ask := func(wanted int) {
			asking.Go(func() {
				seen, err := count(t.Context(), tail)
				assert.NoError(t, err)
				assert.Equal(t, wanted, seen)
			})
		}
		ask(1)
		synctest.Wait() // the first reading is under way, and has noted its end
		under.write(2)
		for range 20 {
			ask(2)
		}
		asking.Wait()
		assert.Equal(t, 2, under.readings)
	})
}

func TestWhoReadsOnWaitsForNoLongReadingAndMissesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		under := &slowTail{}
		tail := newSharedTail(under)
		for user := domain.UserID(1); user <= 4; user++ {
			under.write(user)
		}
		go func() { _, _ = count(t.Context(), tail) }()
		var asking sync.WaitGroup
		readOn := func(ends domain.TailEnds, wanted ...domain.UserID) {
			asking.Go(func() {
				began, seen := time.Now(), map[domain.UserID]bool{}
				next, err := tail.ReadTail(t.Context(), ends, func(d domain.Delivery) error { seen[d.Winner.UserID] = true; return nil })
				assert.NoError(t, err)
				assert.Equal(t, domain.TailEnds{0: {Offset: 4}}, next)
				assert.LessOrEqual(t, time.Since(began), 2*time.Second)
				for _, user := range wanted {
					assert.True(t, seen[user], "user %d came after %v", user, ends)
				}
			})
		}
		readOn(domain.TailEnds{0: {Offset: 4}})
		synctest.Wait() // it reads beside the whole reading; the next three wait for it, and read together
		readOn(domain.TailEnds{0: {Offset: 3}}, 4)
		readOn(domain.TailEnds{0: {Offset: 2}}, 3, 4)
		readOn(domain.TailEnds{}, 1, 2, 3, 4)
		asking.Wait()
		assert.Equal(t, 3, under.readings)
	})
}

func TestWhoeverIsShownEnoughLeavesTheOthersTheirRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		under := &slowTail{}
		tail := newSharedTail(under)
		go func() { _, _ = count(t.Context(), tail) }()
		synctest.Wait()
		under.write(1)
		under.write(2)
		refusal := errors.New("enough")
		var asking sync.WaitGroup
		for range 3 {
			asking.Go(func() {
				visits := 0
				_, err := tail.ReadTail(t.Context(), nil, func(domain.Delivery) error { visits++; return refusal })
				assert.ErrorIs(t, err, refusal)
				assert.Equal(t, 1, visits)
			})
			asking.Go(func() {
				seen, err := count(t.Context(), tail)
				assert.NoError(t, err)
				assert.Equal(t, 2, seen)
			})
		}
		asking.Wait()
		assert.Equal(t, 2, under.readings)
	})
}

func TestNobodyTakesAReadingForWholeThatWasNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tail := newSharedTail(&slowTail{fails: domain.Errorf(domain.CodeUnavailable, "the broker went away")})
		ctx, end := context.WithCancel(t.Context())
		var asking sync.WaitGroup
		asking.Go(func() {
			_, err := count(t.Context(), tail)
			assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
		})
		synctest.Wait()
		asking.Go(func() {
			_, err := count(ctx, tail)
			assert.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait() // it reads for all who come now
		asking.Go(func() {
			_, err := count(t.Context(), tail)
			assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
		})
		synctest.Wait()
		end()
		asking.Wait()
	})
}

// panickingTail panics after a second.
type panickingTail struct{}

func (panickingTail) ReadTail(
	context.Context, domain.TailEnds, func(domain.Delivery) error,
) (domain.TailEnds, error) {
	<-time.After(time.Second)
	panic("what nobody thought of")
}

func TestAReadingThatPanickedIsNotTakenForWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tail := newSharedTail(panickingTail{})
		var asking sync.WaitGroup
		asking.Go(func() {
			defer func() { assert.NotNil(t, recover()) }()
			_, _ = count(t.Context(), tail)
		})
		synctest.Wait()
		// The first of these reads in its turn, and panics as well; the other waits for it.
		panicked, refused := make(chan any, 2), make(chan error, 2)
		for range 2 {
			asking.Go(func() {
				defer func() { panicked <- recover() }()
				_, err := count(t.Context(), tail)
				refused <- err
			})
		}
		asking.Wait()
		assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(<-refused))
		assert.ElementsMatch(t, []any{nil, "what nobody thought of"}, []any{<-panicked, <-panicked})
	})
}

func TestWhoeverStopsWaitingIsShownNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		under := &slowTail{}
		under.write(1)
		tail := newSharedTail(under)
		var asking sync.WaitGroup
		for range 2 {
			asking.Go(func() { _, _ = count(t.Context(), tail) })
		}
		synctest.Wait()
		ctx, end := context.WithCancel(t.Context())
		visits := 0
		asking.Go(func() {
			_, err := tail.ReadTail(ctx, nil, func(domain.Delivery) error { visits++; return nil })
			assert.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		end()
		asking.Wait()
		assert.Zero(t, visits)
		seen, err := count(t.Context(), tail)
		require.NoError(t, err, "the next one reads as ever")
		assert.Equal(t, 1, seen)
	})
}
