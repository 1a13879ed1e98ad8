package kafkaqueue

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAShelfKnowsWhatWasPutBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s shelf
		model := map[int64]bool{}
		offset := rapid.Int64Range(0, 30)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				one := offset.Draw(t, "offset")
				require.True(t, s.add(0, one))
				model[one] = true
			},
			"remove": func(t *rapid.T) {
				one := offset.Draw(t, "offset")
				require.Equal(t, model[one], s.remove(0, one))
				delete(model, one)
			},
			"remove before": func(t *rapid.T) {
				end, gone := offset.Draw(t, "end"), int64(0)
				for one := range model {
					if one < end {
						delete(model, one)
						gone++
					}
				}
				require.Equal(t, gone, s.removeBefore(0, end))
			},
			"": func(t *rapid.T) {
				oldest := map[int32]int64{}
				s.oldest(oldest)
				spans := 0
				for one := range int64(32) {
					require.Equal(t, model[one], s.has(0, one))
					if _, some := oldest[0]; model[one] && some {
						require.LessOrEqual(t, oldest[0], one)
					}
					if model[one] && !model[one-1] {
						spans++
					}
				}
				require.Equal(t, len(model) > 0, len(oldest) > 0)
				require.GreaterOrEqual(t, s.count, spans)
				require.Len(t, s.spans[0], s.count)
			},
		})
	})
}
