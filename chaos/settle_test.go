package main

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUsersMayWaitForASlotOnlyWhileNoneIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		gate    string
		waiting int64
		want    string
	}{
		"nobody waits":                       {`{"quota":10,"count":5}`, 0, ""},
		"sold out":                           {`{"quota":10,"count":10,"owed":1}`, 1, ""},
		"more holders than the wish":         {`{"quota":7,"count":10,"free":1,"owed":2}`, 2, ""},
		"the quota has room":                 {`{"quota":10,"count":9,"owed":1}`, 1, "1 are left"},
		"a slot was given back":              {`{"quota":10,"count":10,"free":1,"owed":1}`, 1, "1 are left"},
		"the gate would let newcomers first": {`{"quota":10,"count":10}`, 1, "the gate knows of 0"},
	} {
		t.Run(name, func(t *testing.T) {
			var view campaignView
			require.NoError(t, json.Unmarshal([]byte(`{"gate":`+c.gate+`}`), &view))
			err := view.mayWait(c.waiting)
			if c.want == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, c.want)
		})
	}
}

func TestAWaitGoesOnWhileSomethingMoves(t *testing.T) {
	const standstill = 300 * time.Millisecond
	for name, c := range map[string]struct {
		steps int
		whole time.Duration
		want  string
	}{
		"it moves for longer than the patience": {steps: 8, whole: time.Minute},
		"it stands still":                       {steps: 1 << 30, whole: time.Minute, want: "step 1"},
		"it moves without an end":               {steps: 1 << 30, whole: time.Second, want: "in vain"},
	} {
		t.Run(name, func(t *testing.T) {
			stands := c.want == "step 1"
			step := 0
			err := whileItMoves(t.Context(), patienceOf{standstill, c.whole}, "the last step is done", func(context.Context) error {
				if step == 0 || !stands {
					step++
				}
				if step == c.steps {
					return nil
				}
				return fmt.Errorf("step %d", step)
			})
			if c.want == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, c.want)
		})
	}
}
