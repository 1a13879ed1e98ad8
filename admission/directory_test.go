package admission

import (
	"context"
	"log/slog"
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
		requireCode(t, domain.CodeUnavailable, b.apply(42))
		_, err := b.service.Campaign(t.Context(), "spring")
		assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
		assert.False(t, b.service.CampaignsRead())

		b.ledger.fail(nil)
		time.Sleep(directoryInterval)
		synctest.Wait()
		assert.NoError(t, b.apply(42).Err)
		assert.True(t, b.service.CampaignsRead())
		b.close()
	})
}

func TestApplicationsGoOnWhileTheDatabaseIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t).start()
		synctest.Wait()
		b.ledger.fail(errAway())
		time.Sleep(time.Minute)
		assert.NoError(t, b.apply(42).Err)
		requireCode(t, domain.CodeUnavailable, b.service.Apply(t.Context(), "autumn", 1))
		b.close()
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
		b.close()
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
				_, err := b.service.directory.find(t.Context(), "autumn")
				assert.Equal(t, domain.CodeUnknownCampaign, domain.CodeOf(err))
			})
		}
		all.Wait()
		assert.EqualValues(t, 2, readings.Load())

		for range 100 { // one after the other for 500 ms
			time.Sleep(5 * time.Millisecond)
			_, _ = b.service.directory.find(t.Context(), "autumn")
		}
		assert.EqualValues(t, 4, readings.Load())
		b.close()
	})
}

func TestACodeThatCannotBeIsRefusedWithoutAReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		readings := b.countReadings(0)
		b.start()
		time.Sleep(directoryPause)
		synctest.Wait()
		_, err := b.service.directory.find(t.Context(), "NO SUCH CODE")
		assert.Equal(t, domain.CodeUnknownCampaign, domain.CodeOf(err))
		assert.EqualValues(t, 1, readings.Load())
		b.close()
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
		_, err := b.service.directory.find(ctx, "autumn")
		assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
		assert.Equal(t, 100*time.Millisecond, time.Since(began))
		b.close()
	})
}

func TestWhatAnOperatorChangedIsNotOverwrittenByAnOlderReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t).start()
		synctest.Wait()
		entered, leave := make(chan struct{}), make(chan struct{})
		before := []domain.Campaign{b.ledger.campaigns[0]}
		d := newDirectory(t.Context(), Stores{Campaigns: readerFunc(func() []domain.Campaign {
			close(entered)
			<-leave
			return before
		})}, &lineLimits{}, slog.New(slog.DiscardHandler))
		d.learn(before)
		go d.runOnce(t.Context())
		<-entered
		d.put(domain.Campaign{Code: "autumn"})
		close(leave)
		synctest.Wait()
		_, err := d.find(t.Context(), "autumn")
		require.NoError(t, err)
		b.close()
	})
}

type readerFunc func() []domain.Campaign

func (f readerFunc) Campaigns(context.Context) ([]domain.Campaign, error) { return f(), nil }
func (f readerFunc) Campaign(context.Context, string) (domain.Campaign, error) {
	return domain.Campaign{}, errUnknownCampaign
}
