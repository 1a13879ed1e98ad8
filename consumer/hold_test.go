package consumer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func TestAnOperatorHoldsTheConsumerAndLetsItGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		w.settings[domain.SettingConsumers] = domain.ConsumersPaused
		w.admitted(0, 1, 1)
		c := w.consumer(t, Config{})
		stop := c.start()
		time.Sleep(time.Minute)
		assert.Equal(t, heldByOperator, c.State().Paused, "a hold that was set before the start holds too")
		assert.False(t, c.State().PausedSince.IsZero())
		w.see(func() { assert.Equal(t, []int{0}, w.committed) })

		w.see(func() { w.settings[domain.SettingConsumers] = domain.ConsumersRunning })
		time.Sleep(2 * settingEvery)
		assert.True(t, w.drained())
		assert.Empty(t, c.State().Paused)
		require.NoError(t, stop())
	})
}

func TestAHeldConsumerStopsWhenItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		w.settings[domain.SettingConsumers] = domain.ConsumersPaused
		w.admitted(0, 1, 1)
		stop := w.consumer(t, Config{}).start()
		time.Sleep(time.Second)
		require.NoError(t, stop())
		w.see(func() { assert.Equal(t, []int{0}, w.committed, "what was in hand is delivered again") })
	})
}
