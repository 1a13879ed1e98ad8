package redisgate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"firstcome/domain"
)

// answered is an error that the server sent.
type answered string

func (a answered) Error() string { return string(a) }
func (a answered) RedisError()   {}

func TestErrorsOfTheDriverGetTheirCode(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for _, one := range []struct {
		err     error
		cluster bool
		want    domain.Code
	}{
		{answered("OOM command not allowed when used memory > 'maxmemory'."), false, domain.CodeUnavailable},
		{answered("MISCONF Redis is configured to save RDB snapshots"), false, domain.CodeUnavailable},
		{answered("READONLY You can't write against a read only replica."), false, domain.CodeUnavailable},
		{answered("LOADING Redis is loading the dataset in memory"), false, domain.CodeUnavailable},
		{answered("NOREPLICAS Not enough good replicas to write."), false, domain.CodeUnavailable},
		{answered("CLUSTERDOWN The cluster is down"), false, domain.CodeUnavailable},
		{answered("MOVED 1234 127.0.0.1:7001"), true, domain.CodeUnavailable},
		{answered("MASTERDOWN Link with MASTER is down"), false, domain.CodeUnavailable},
		{answered("NOAUTH Authentication required."), false, domain.CodeUnavailable},
		{answered("WRONGPASS invalid username-password pair"), false, domain.CodeUnavailable},
		{answered("ERR max number of clients reached"), false, domain.CodeUnavailable},
		{answered("WRONGTYPE Operation against a key"), false, domain.CodeGateClosed},
		{answered("ERR something else"), false, domain.CodeOutcomeUnknown},
		{answered("ERR unknown command 'evalsha'"), false, domain.CodeUnavailable},
		{refused, false, domain.CodeUnavailable},
		{refused, true, domain.CodeOutcomeUnknown},
		{redis.ErrPoolTimeout, false, domain.CodeUnavailable},
		{redis.ErrClosed, false, domain.CodeUnavailable},
		{io.EOF, false, domain.CodeOutcomeUnknown},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, false, domain.CodeOutcomeUnknown},
		{context.DeadlineExceeded, false, domain.CodeOutcomeUnknown},
		{errors.New("never seen before"), false, domain.CodeOutcomeUnknown},
	} {
		got := classify(one.err, one.cluster)
		assert.Equal(t, one.want, domain.CodeOf(got), "%v", one.err)
		assert.ErrorIs(t, got, one.err)
	}
}

func TestOnlyABrokenConnectionIsTriedAgain(t *testing.T) {
	assert.True(t, brokenConnection(io.EOF))
	assert.True(t, brokenConnection(&net.OpError{Op: "read", Err: syscall.ECONNRESET}))
	assert.True(t, brokenConnection(&net.OpError{Op: "write", Err: syscall.EPIPE}))
	for _, err := range []error{
		context.DeadlineExceeded, context.Canceled, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED},
		&net.OpError{Op: "read", Err: context.DeadlineExceeded}, answered("OOM"), errors.New("no"),
	} {
		assert.False(t, brokenConnection(err), "%v", err)
	}
}

func TestGapsAreTheSlotsThatNobodyHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		held := rapid.SliceOfDistinct(rapid.Int64Range(1, 300), rapid.ID).Draw(t, "held")
		limit := rapid.IntRange(1, 50).Draw(t, "limit")
		var set slotSet
		for _, slot := range held {
			require.True(t, set.add(domain.Slot(slot)))
			require.False(t, set.add(domain.Slot(slot)))
		}
		var want, got []int64
		for slot := int64(1); len(held) > 0 && slot < slices.Max(held); slot++ {
			if !slices.Contains(held, slot) {
				want = append(want, slot)
			}
		}
		for some := range set.gaps(limit) {
			require.LessOrEqual(t, len(some), limit)
			got = append(got, some...)
		}
		require.Equal(t, want, got)
	})
}

func TestThePlacesForCampaignsAreBounded(t *testing.T) {
	var all campaigns
	for i := range maxCampaigns + 10 {
		code := fmt.Sprintf("c-%d", i)
		found, err := all.find(code)
		require.NoError(t, err)
		require.Equal(t, code, found.code)
	}
	kept := 0
	all.known.Range(func(any, any) bool { kept++; return true })
	assert.Equal(t, maxCampaigns, kept)
}

func TestWhatWasSeenOnlyGrowsWithinAnEpoch(t *testing.T) {
	var c campaign
	for _, step := range []struct{ epoch, count, wantEpoch, wantCount int64 }{
		{1, 5, 1, 5}, {1, 3, 1, 5}, {2, 1, 2, 1}, {1, 9, 2, 1}, {2, 2, 2, 2},
	} {
		c.saw(step.epoch, step.count)
		epoch, count := c.seen()
		assert.Equal(t, step.wantEpoch, epoch)
		assert.Equal(t, step.wantCount, count)
	}
}

// FuzzReadDecision feeds what a script might answer: a decision either can't be read, or is a refusal, or names a slot.
func FuzzReadDecision(f *testing.F) {
	for _, seed := range []string{"S", "N", "+1", "=2", "3:1700000000000", "0:1", "-1:1", "", "+", ":", "1:", "9999999999999999999:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, item string) {
		d := decisions{campaign: "sale", epoch: 1, errNotStarted: errNotStarted(time.Second)}
		admission, result, err := d.read(7, item)
		if result < 0 {
			return
		}
		if err == nil && (admission.UserID != 7 || admission.Slot == domain.NoSlot && !strings.ContainsAny(item, "+=")) {
			t.Fatalf("%q was read as %+v", item, admission)
		}
	})
}

// FuzzReadEntry feeds what might stand in the pending stream: an entry that is read names only users and slots.
func FuzzReadEntry(f *testing.F) {
	for _, seed := range []string{"1:1", "1:1:5,2:2:6", "", ",", "1:0", "a:1", "9223372036854775807:1", "1:1:"} {
		f.Add("1700000000000-0", "1", seed)
	}
	f.Fuzz(func(t *testing.T, id, epoch, winners string) {
		entry, ok := readEntry("sale", reply{id, []any{"e", epoch, "w", winners}}, time.UnixMilli(math.MaxInt32))
		if !ok {
			return
		}
		if len(entry.Winners) == 0 {
			t.Fatalf("%q %q %q was read as %+v", id, epoch, winners, entry)
		}
		for _, winner := range entry.Winners {
			if winner.UserID < 1 || winner.Slot < 1 {
				t.Fatalf("%q was read as %+v", winners, entry)
			}
		}
	})
}
