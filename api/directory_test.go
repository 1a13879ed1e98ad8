package api

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// countReadings counts the readings of all campaigns; each takes the time that is given.
func (b *fixture) countReadings(takes time.Duration) *atomic.Int64 {
	var readings atomic.Int64
	b.ledger.reading = func(ctx context.Context) {
		readings.Add(1)
		select {
		case <-time.After(takes):
		case <-ctx.Done():
		}
	}
	return &readings
}

func TestBeforeTheCampaignsWereReadNobodyIsToldThatThereAreNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.ledger.fail(errAway())
		b.start()
		requireProblem(t, b.apply("42"), 503, domain.CodeUnavailable)
		requireProblem(t, b.get("/v1/campaigns/spring"), 503, domain.CodeUnavailable)
		assert.Equal(t, http.StatusServiceUnavailable, b.get("/readyz").Code)

		b.ledger.fail(nil)
		time.Sleep(directoryInterval)
		synctest.Wait()
		assert.Equal(t, http.StatusAccepted, b.apply("42").Code)
		assert.Equal(t, http.StatusOK, b.get("/readyz").Code)
		b.server.Close()
	})
}

func TestApplicationsGoOnWhileTheDatabaseIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t).start()
		synctest.Wait()
		b.ledger.fail(errAway())
		time.Sleep(time.Minute)
		assert.Equal(t, http.StatusAccepted, b.apply("42").Code)
		requireProblem(t, b.do(newRequest(http.MethodPost, "/v1/campaigns/autumn/apply", `{"user_id":1}`)), 503, domain.CodeUnavailable)
		b.server.Close()
	})
}

func TestACampaignIsKnownWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		readings := b.countReadings(0)
		b.start()
		synctest.Wait()
		time.Sleep(10*time.Second + 500*time.Millisecond)
		assert.EqualValues(t, 11, readings.Load())
		b.server.Close()
	})
}

func TestUnknownCodesCostOneReadingEvery200Milliseconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		readings := b.countReadings(20 * time.Millisecond)
		b.start()
		time.Sleep(directoryPause)
		synctest.Wait()
		require.EqualValues(t, 1, readings.Load())

		var all sync.WaitGroup
		for range 100 { // all at once: one reading for all of them
			all.Go(func() {
				_, err := b.server.directory.find(t.Context(), "autumn")
				assert.Equal(t, domain.CodeUnknownCampaign, domain.CodeOf(err))
			})
		}
		all.Wait()
		assert.EqualValues(t, 2, readings.Load())

		for range 100 { // one after the other for 500 ms
			time.Sleep(5 * time.Millisecond)
			_, _ = b.server.directory.find(t.Context(), "autumn")
		}
		assert.EqualValues(t, 4, readings.Load())
		b.server.Close()
	})
}

func TestACodeThatCannotBeIsRefusedWithoutAReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		readings := b.countReadings(0)
		b.start()
		time.Sleep(directoryPause)
		synctest.Wait()
		_, err := b.server.directory.find(t.Context(), "NO SUCH CODE")
		assert.Equal(t, domain.CodeUnknownCampaign, domain.CodeOf(err))
		assert.EqualValues(t, 1, readings.Load())
		b.server.Close()
	})
}

func TestAClientThatLeavesDoesNotWaitForAReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.countReadings(time.Second)
		b.start()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := b.server.directory.find(ctx, "autumn")
		assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
		assert.Equal(t, 100*time.Millisecond, time.Since(began))
		b.server.Close()
	})
}

func TestWhatAnOperatorChangedIsNotOverwrittenByAnOlderReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t).start()
		synctest.Wait()
		entered, leave := make(chan struct{}), make(chan struct{})
		before := []domain.Campaign{b.ledger.campaigns[0]}
		d := newDirectory(t.Context(), readerFunc(func() []domain.Campaign {
			close(entered)
			<-leave
			return before
		}), &lineLimits{}, b.server.logger)
		d.learn(before)
		go d.runOnce(t.Context())
		<-entered
		d.put(domain.Campaign{Code: "autumn"})
		close(leave)
		synctest.Wait()
		_, err := d.find(t.Context(), "autumn")
		require.NoError(t, err)
		b.server.Close()
	})
}

type readerFunc func() []domain.Campaign

func (f readerFunc) Campaigns(context.Context) ([]domain.Campaign, error) { return f(), nil }
func (f readerFunc) Campaign(context.Context, string) (domain.Campaign, error) {
	return domain.Campaign{}, errUnknownCampaign
}
