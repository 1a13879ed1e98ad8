package admission

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"firstcome/domain"
)

// crowdedGate is a gate with many sold-out campaigns; the winners of each are users 1 to their number.
type crowdedGate struct {
	domain.GateReader
	mu      sync.Mutex
	winners map[string]int64
	// readings counts how often users were read, reading how many of those are under way, atOnce their highest number.
	readings, reading, atOnce atomic.Int64
	// slow is how long a reading takes.
	slow time.Duration
}

func (g *crowdedGate) Inspect(_ context.Context, campaign string) (domain.GateReport, error) {
	return soldOut(g.count(campaign)), nil
}

func (g *crowdedGate) count(campaign string) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.winners[campaign]
}

func (g *crowdedGate) putBack(campaign string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.winners[campaign]++
}

func (g *crowdedGate) VisitWinners(ctx context.Context, campaign string, visit func(domain.GateWinner) error) error {
	g.readings.Add(1)
	g.atOnce.Store(max(g.atOnce.Load(), g.reading.Add(1)))
	defer g.reading.Add(-1)
	select {
	case <-time.After(g.slow):
	case <-ctx.Done():
		return ctx.Err()
	}
	for i := range g.count(campaign) {
		if err := visit(domain.GateWinner{UserID: domain.UserID(i + 1), Slot: domain.Slot(i + 1)}); err != nil {
			return err
		}
	}
	return nil
}

func (g *crowdedGate) VisitFree(context.Context, string, func(domain.Slot) error) error { return nil }
func (g *crowdedGate) FindWinners(context.Context, string, []domain.UserID) ([]domain.GateWinner, error) {
	return nil, nil
}

// memoryWorld is a keeper that runs, and its campaigns.
type memoryWorld struct {
	gate      *crowdedGate
	keeper    *refusalKeeper
	campaigns []*refusals
	stop      func()
}

func newMemoryWorld(cfg Config, winners ...int64) *memoryWorld {
	w := &memoryWorld{gate: &crowdedGate{winners: map[string]int64{}}}
	for i, count := range winners {
		code := fmt.Sprint("campaign-", i)
		w.gate.winners[code] = count
		w.campaigns = append(w.campaigns, newRefusals(code))
	}
	w.keeper = newRefusalKeeper(cfg.withDefaults(), Stores{GateReader: w.gate, GateLister: w.gate}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); w.keeper.run(ctx) }()
	w.stop = func() { cancel(); <-ended }
	return w
}

// ask has so many strangers ask at a campaign, and says how many of them the gate had to refuse.
func (w *memoryWorld) ask(campaign, strangers int) int {
	r, asked := w.campaigns[campaign], 0
	for range strangers {
		if r.refuse(-1, time.Now()) == nil {
			asked++
		}
	}
	if asked > 0 {
		w.keeper.learn(r, refusedBy(asked), nil)
	}
	return asked
}

func refusedBy(users int) []domain.Decision {
	decisions := make([]domain.Decision, users)
	for i := range decisions {
		decisions[i].Err = &domain.Error{Code: domain.CodeSoldOut}
	}
	return decisions
}

// fromMemory says whether a stranger is refused from memory.
func (w *memoryWorld) fromMemory(campaign int) bool {
	return w.campaigns[campaign].refuse(-1, time.Now()) != nil
}

func TestAFewApplicationsLoadNobodysWinners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		winners := make([]int64, 100)
		for i := range winners {
			winners[i] = 1_000_000
		}
		w := newMemoryWorld(Config{}, winners...)
		defer w.stop()
		for range 30 { // far less than a crowd, and for long
			for campaign := range winners {
				assert.Equal(t, 20, w.ask(campaign, 20), "the gate answers")
			}
			time.Sleep(demandWindow)
		}
		synctest.Wait()
		assert.Zero(t, w.gate.readings.Load())
		assert.Zero(t, w.keeper.held.Load())
	})
}

func TestACrowdIsRefusedFromMemoryAndAnIdleCampaignForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(Config{}, 1000)
		defer w.stop()
		for range 50 {
			w.ask(0, 500)
			time.Sleep(refusalRenewal / 2)
		}
		require.True(t, w.fromMemory(0))
		require.EqualValues(t, 1, w.gate.readings.Load())
		require.Positive(t, w.keeper.held.Load())
		time.Sleep(refusalIdle + 2*refusalRenewal)
		synctest.Wait()
		assert.Zero(t, w.keeper.held.Load(), "nobody asks any more")
		assert.Nil(t, w.campaigns[0].known.users)
		assert.Empty(t, w.keeper.kept)
		w.ask(0, 500)
		synctest.Wait()
		assert.True(t, w.fromMemory(0), "until the next crowd")
	})
}

// One who asks at all campaigns, with a crowd at each, takes neither more memory than the budget nor the place of the
// campaign at which all the others ask.
func TestACrowdAtEachCampaignTakesNoPlaceOfTheOneThatIsAskedForMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		winners := make([]int64, 300)
		for i := range winners {
			winners[i] = 10_000
		}
		memory := 3 * bytesOf(usersToHold(&domain.GateReport{Winners: 10_000}))
		w := newMemoryWorld(Config{RefusalMemoryBytes: memory}, winners...)
		defer w.stop()
		w.gate.slow = 50 * time.Millisecond
		for round := range 60 {
			w.ask(0, 5000)
			for campaign := 1; campaign < len(winners); campaign++ {
				w.ask(campaign, 600)
			}
			time.Sleep(refusalRenewal / 2)
			synctest.Wait()
			require.LessOrEqual(t, w.keeper.held.Load(), memory)
			if round > 5 {
				require.True(t, w.fromMemory(0), "round %d", round)
			}
		}
		assert.EqualValues(t, 1, w.gate.atOnce.Load(), "one reading at a time")
		assert.LessOrEqual(t, len(w.keeper.kept), maxKept)
	})
}

func TestReadingsTakeAtMostAQuarterOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(Config{}, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000)
		defer w.stop()
		w.gate.slow = time.Second
		for range 80 {
			for campaign := range w.campaigns {
				w.ask(campaign, 500)
			}
			time.Sleep(100 * time.Millisecond)
		}
		assert.LessOrEqual(t, w.gate.readings.Load(), int64(3), "in eight seconds")
	})
}

func TestACampaignThatIsTooLargeIsLeftToTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(Config{RefusalMemoryBytes: 100_000}, 1_000_000, 100)
		defer w.stop()
		for range 10 {
			w.ask(0, 50_000)
			w.ask(1, 500)
			time.Sleep(refusalRenewal)
		}
		synctest.Wait()
		assert.EqualValues(t, 1, w.gate.readings.Load(), "the small one alone")
		assert.False(t, w.fromMemory(0))
		assert.True(t, w.fromMemory(1))
	})
}

func TestMoreUsersThanThereIsRoomForAreNotRead(t *testing.T) {
	w := newMemoryWorld(Config{}, 1000)
	defer w.stop()
	_, err := w.keeper.read(t.Context(), "campaign-0", 999)
	require.ErrorIs(t, err, errUsersGrew)
	users, err := w.keeper.read(t.Context(), "campaign-0", 1000)
	require.NoError(t, err)
	assert.Len(t, users, 1000)
}

// Whatever is asked where and for how long: what is held is counted, within the budget, and gone when nobody asks.
func TestTheBudgetHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ rapid.TB }{t}, func(rt *rapid.T) { // a bubble's test does not tell its deadline
			winners := rapid.SliceOfN(rapid.Int64Range(0, 2_000), 2, 12).Draw(rt, "winners")
			memory := rapid.Int64Range(1, 30_000).Draw(rt, "memory")
			w := newMemoryWorld(Config{RefusalMemoryBytes: memory, RefusalDemand: 10}, winners...)
			defer w.stop()
			w.gate.slow = time.Duration(rapid.IntRange(0, 700).Draw(rt, "ms")) * time.Millisecond
			rt.Repeat(map[string]func(*rapid.T){
				"ask": func(rt *rapid.T) {
					w.ask(rapid.IntRange(0, len(winners)-1).Draw(rt, "campaign"), rapid.IntRange(1, 300).Draw(rt, "strangers"))
				},
				"wait": func(rt *rapid.T) {
					time.Sleep(time.Duration(rapid.IntRange(1, 3000).Draw(rt, "ms")) * time.Millisecond)
				},
				"somebody is put back": func(rt *rapid.T) {
					synctest.Wait() // no look is under way
					w.gate.putBack(w.campaigns[rapid.IntRange(0, len(winners)-1).Draw(rt, "campaign")].campaign)
				},
				"": func(rt *rapid.T) {
					synctest.Wait()
					require.LessOrEqual(rt, w.keeper.held.Load(), memory)
				},
			})
			if rapid.Bool().Draw(rt, "nobody asks any more") {
				time.Sleep(refusalIdle + 2*time.Second)
				synctest.Wait()
				require.Zero(rt, w.keeper.held.Load())
			}
			w.stop() // what each campaign holds is the keeper's own
			var held int64
			for _, r := range w.campaigns {
				require.LessOrEqual(rt, bytesOf(int64(cap(r.known.users))), r.bytes)
				held += r.bytes
			}
			require.Equal(rt, held, w.keeper.held.Load())
		})
	})
}

func TestRoomIsMadeByTheLeastUsed(t *testing.T) {
	holding := func(bytes, score int64) *refusals { return &refusals{bytes: bytes, interest: interest{score: score}} }
	newcomer := holding(0, 50)
	a, b, c := holding(100, 10), holding(100, 20), holding(100, 50)
	kept := []*refusals{c, b, newcomer, a, holding(0, 1)}
	for name, test := range map[string]struct {
		bytes, free int64
		leaving     []*refusals
		ok          bool
	}{
		"there is room":             {100, 100, nil, true},
		"the least used goes":       {100, 0, []*refusals{a}, true},
		"and the next":              {150, 0, []*refusals{a, b}, true},
		"not one that is used more": {250, 0, []*refusals{a, b}, false},
	} {
		leaving, ok := roomFor(newcomer, test.bytes, test.free, kept)
		assert.Equal(t, test.ok, ok, name)
		assert.Equal(t, test.leaving, leaving, name)
	}
}

func TestACrowdLeavesNoLongLineBehind(t *testing.T) {
	b := newFixture(t).start()
	_, err := b.service.Campaign(t.Context(), "spring")
	require.NoError(t, err)
	l := b.service.directory.lookUp("spring").line
	l.waiting = make([]*application, 0, 8192)
	b.apply(1)
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return cap(l.waiting) <= keptPlaces
	}, 10*time.Second, time.Millisecond)
}

// BenchmarkRefusalMemory has crowds at 10,000 campaigns with five million winners in all, for as long as the largest five
// take to be read, and says what the process takes then.
func BenchmarkRefusalMemory(b *testing.B) {
	even, few := make([]int64, 10_000), make([]int64, 10_000)
	for i := range even {
		even[i], few[i] = 500, 1
	}
	for i := range 5 {
		few[i] = 998_001
	}
	for name, winners := range map[string][]int64{"500 each": even, "five with a million": few} {
		b.Run(name, func(b *testing.B) {
			w := newMemoryWorld(Config{}, winners...)
			defer w.stop()
			crowd := refusedBy(200)
			for b.Loop() {
				for until := time.Now().Add(8 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
					for i, r := range w.campaigns {
						w.keeper.learn(r, crowd, nil)
						if i < 5 {
							r.uses.Add(5000)
						}
					}
				}
			}
			b.ReportMetric(float64(w.keeper.held.Load())/(1<<20), "held-MiB")
			b.ReportMetric(residentMiB(b), "rss-MiB")
		})
	}
}

func residentMiB(tb testing.TB) float64 {
	tb.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		tb.Skip("the resident memory is known on Linux only")
	}
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			require.NoError(tb, err)
			return kib / 1024
		}
	}
	return 0
}
