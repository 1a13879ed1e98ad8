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

func (t *slowTail) ReadTail(ctx context.Context, visit func(domain.Delivery) error) error {
	t.mu.Lock()
	t.readings++
	records, fails := t.records, t.fails
	t.mu.Unlock()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, record := range records {
		if err := visit(domain.Delivery{Winner: record}); err != nil {
			return err
		}
	}
	return fails
}

func (t *slowTail) write(user domain.UserID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records = append(t.records, domain.Winner{Campaign: "c", UserID: user})
}

// count reads the tail and counts what was seen.
func count(ctx context.Context, tail domain.TailReader) (int, error) {
	seen := 0
	err := tail.ReadTail(ctx, func(domain.Delivery) error { seen++; return nil })
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
				err := tail.ReadTail(t.Context(), func(domain.Delivery) error { visits++; return refusal })
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

func (panickingTail) ReadTail(context.Context, func(domain.Delivery) error) error {
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
			err := tail.ReadTail(ctx, func(domain.Delivery) error { visits++; return nil })
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
