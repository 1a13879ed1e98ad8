package admission

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// heldLine is a server whose gate holds the first application, of user 1, so that those who come meanwhile wait in line.
type heldLine struct {
	*fixture
	release chan struct{}
	batches [][]domain.UserID
}

func inLine(t *testing.T, configure func(*Config), test func(t *testing.T, h *heldLine)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &heldLine{fixture: newFixture(t), release: make(chan struct{})}
		h.cfg.GateCalls = 1
		configure(&h.cfg)
		h.gate.Quota = 1000
		h.gate.Deciding = func(users []domain.UserID) {
			h.batches = append(h.batches, users)
			<-h.release
		}
		h.start()
		defer h.close()
		synctest.Wait()
		first := h.ask(t.Context(), 1)
		test(t, h)
		require.NoError(t, (<-first).Err)
	})
}

// ask has a user ask, and returns when the application waits; the answer comes later.
func (h *heldLine) ask(ctx context.Context, user domain.UserID) <-chan Answer {
	given := make(chan Answer, 1)
	go func() { given <- h.service.Apply(ctx, "spring", user) }()
	synctest.Wait()
	return given
}

func TestWhoWaitsIsDecidedTogetherInTheOrderOfArrival(t *testing.T) {
	inLine(t, func(*Config) {}, func(t *testing.T, h *heldLine) {
		var given []<-chan Answer
		var users []domain.UserID
		for user := domain.UserID(40); user > 1; user-- {
			given = append(given, h.ask(t.Context(), user))
			users = append(users, user)
		}
		given = append(given, h.ask(t.Context(), 40)) // once more
		close(h.release)
		for _, one := range given {
			require.NoError(t, (<-one).Err)
		}
		assert.Equal(t, [][]domain.UserID{{1}, append(users, 40)}, h.batches)
		assert.Len(t, h.queue.Winners(), 40, "nobody twice")
	})
}

func TestWhoLeavesTheLineIsNotAdmitted(t *testing.T) {
	inLine(t, func(*Config) {}, func(t *testing.T, h *heldLine) {
		ctx, leave := context.WithCancel(t.Context())
		left, stayed := h.ask(ctx, 2), h.ask(t.Context(), 3)
		leave()
		close(h.release)
		require.ErrorIs(t, (<-left).Err, context.Canceled)
		require.NoError(t, (<-stayed).Err)
		assert.Equal(t, [][]domain.UserID{{1}, {3}}, h.batches)
	})
}

func TestAFullLineRefusesAndDoesNotLook(t *testing.T) {
	inLine(t, func(cfg *Config) { cfg.MaxWaiting, cfg.AdmitTimeout = 6, time.Minute }, func(t *testing.T, h *heldLine) {
		var given []<-chan Answer
		for user := domain.UserID(2); user <= 4; user++ {
			given = append(given, h.ask(t.Context(), user))
		}
		refused := <-h.ask(t.Context(), 5)
		require.Equal(t, domain.CodeOverloaded, domain.CodeOf(refused.Err), "%v", refused.Err)
		close(h.release)
		for _, one := range given {
			require.NoError(t, (<-one).Err)
		}
		assert.Equal(t, [][]domain.UserID{{1}, {2, 3, 4}}, h.batches)
	})
}

func TestABatchKeepsItsLimit(t *testing.T) {
	inLine(t, func(cfg *Config) { cfg.MaxBatch = 10 }, func(t *testing.T, h *heldLine) {
		var given []<-chan Answer
		for user := domain.UserID(2); user <= 36; user++ {
			given = append(given, h.ask(t.Context(), user))
		}
		close(h.release)
		for _, one := range given {
			require.NoError(t, (<-one).Err)
		}
		decided := 0
		for _, batch := range h.batches {
			assert.LessOrEqual(t, len(batch), 10)
			decided += len(batch)
		}
		assert.Equal(t, 36, decided)
	})
}
