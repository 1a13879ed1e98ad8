package admission

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"firstcome/admission/admissiontest"
	"firstcome/domain"
)

// windowGate stands behind a admissiontest.Gate and decides by state and window as script/admit.lua does; its clock is the test's.
type windowGate struct {
	*admissiontest.Gate
	mu       sync.Mutex
	campaign domain.Campaign
	ledger   *fakeLedger
	// Until reopensAt those that the gate doesn't know hear says, as script/gate.lua has it (REOPEN_AFTER_MS).
	reopensAt time.Time
	says      domain.Code
	// frozen lets no look at the gate come back in time.
	frozen bool
}

const reopenAfter = 2 * time.Second

func newWindowGate(fake *admissiontest.Gate, campaign domain.Campaign) *windowGate {
	g := &windowGate{Gate: fake, campaign: campaign}
	fake.Quota = campaign.Quota
	fake.Refusing, fake.Looking = g.refuse, g.lookAt
	return g
}

func codeFor(campaign domain.Campaign) domain.Code {
	now := time.Now()
	switch {
	case campaign.State == domain.CampaignEnded || !now.Before(campaign.EndsAt):
		return domain.CodeEnded
	case campaign.State == domain.CampaignPaused:
		return domain.CodePaused
	case now.Before(campaign.StartsAt):
		return domain.CodeNotStarted
	}
	return ""
}

func (g *windowGate) refuse() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	code := codeFor(g.campaign)
	if code == "" && time.Now().Before(g.reopensAt) {
		code = g.says
	}
	if code == "" {
		return nil
	}
	refusal := &domain.Error{Code: code, Message: "the gate says " + string(code)}
	if code == domain.CodeNotStarted {
		refusal.RetryAfter = max(time.Until(g.campaign.StartsAt), time.Until(g.reopensAt))
	}
	return refusal
}

// change lets who is let in by the change and was refused before wait, as script/settings.lua does.
func (g *windowGate) change(change func(*domain.Campaign)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.campaign
	change(&g.campaign)
	latest, refusal := time.Now().Add(reopenAfter), codeFor(was)
	if refusal == "" {
		return
	}
	before, after := opensAt(was, latest), opensAt(g.campaign, latest)
	if after.Before(before) {
		g.says = refusal
		if before.After(g.reopensAt) {
			g.reopensAt = before
		}
	}
}

// opensAt is when a campaign lets users in, latest when that is later or never.
func opensAt(campaign domain.Campaign, latest time.Time) time.Time {
	now := time.Now()
	switch {
	case campaign.State != domain.CampaignOpen, !now.Before(campaign.EndsAt), campaign.StartsAt.After(latest):
		return latest
	case now.Before(campaign.StartsAt):
		return campaign.StartsAt
	}
	return now
}

func (g *windowGate) lookAt(ctx context.Context) domain.GateReport {
	g.mu.Lock()
	frozen := g.frozen
	g.mu.Unlock()
	if frozen {
		<-ctx.Done()
		return domain.GateReport{Closed: "away"}
	}
	g.Gate.Mu.Lock()
	winners := int64(len(g.Users))
	g.Gate.Mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	return domain.GateReport{
		Epoch: 1, Quota: g.campaign.Quota, Count: winners, Winners: winners, State: g.campaign.State,
		StartsAt: g.campaign.StartsAt, EndsAt: g.campaign.EndsAt, ServerTime: time.Now().Truncate(time.Millisecond),
	}
}

func (g *windowGate) freeze(frozen bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.frozen = frozen
}

// twoProcesses runs a test on two services that share a gate, on which user 1 has won.
func twoProcesses(t *testing.T, campaign domain.Campaign, test func(g *windowGate, services [2]*Service)) {
	t.Helper()
	b := newFixture(t)
	g := newWindowGate(b.gate, campaign)
	g.ledger = b.ledger
	b.gate.Users[1] = domain.Admission{Winner: domain.Winner{Campaign: "spring", UserID: 1, Slot: 1, AdmittedAt: admissiontest.AdmittedAt}}
	one, endOne := b.another()
	defer endOne()
	other, endOther := b.another()
	defer endOther()
	synctest.Wait()
	test(g, [2]*Service{one, other})
}

// campaignNow runs for an hour from now on.
func campaignNow() domain.Campaign {
	return domain.Campaign{
		Code: "spring", Quota: 1000, State: domain.CampaignOpen,
		StartsAt: time.Now().Add(-time.Minute), EndsAt: time.Now().Add(time.Hour),
	}
}

// asksTheGate says whether the call goes to the gate.
func (g *windowGate) asksTheGate(call func()) bool {
	count := func() int {
		asked := 0
		for _, name := range g.Called() {
			if name == "admit" {
				asked++
			}
		}
		return asked
	}
	before := count()
	call()
	return count() > before
}

func TestBeforeTheStartMemoryAnswersAndAtTheStartTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		campaign := campaignNow()
		campaign.StartsAt = time.Now().Add(10 * time.Second)
		twoProcesses(t, campaign, func(g *windowGate, services [2]*Service) {
			user := domain.UserID(100)
			ask := func(service *Service) Answer { user++; return service.Apply(t.Context(), "spring", user) }
			for _, service := range services {
				require.Equal(t, domain.CodeNotStarted, domain.CodeOf(ask(service).Err))
			}
			synctest.Wait()
			for left := 9900 * time.Millisecond; left > edgeMargin; left -= 100 * time.Millisecond {
				time.Sleep(time.Until(campaign.StartsAt) - left)
				for _, service := range services {
					asked := g.asksTheGate(func() {
						var refusal *domain.Error
						require.ErrorAs(t, ask(service).Err, &refusal)
						assert.Equal(t, domain.CodeNotStarted, refusal.Code)
						assert.Equal(t, left, refusal.RetryAfter, "until the start, to the millisecond")
					})
					assert.False(t, asked, "%s before the start", left)
				}
			}
			time.Sleep(time.Until(campaign.StartsAt) - time.Millisecond)
			assert.True(t, g.asksTheGate(func() { ask(services[0]) }), "the gate's clock is the judge of the last moment")
			time.Sleep(time.Millisecond)
			for _, service := range services {
				assert.NoError(t, ask(service).Err, "the very moment")
			}
		})
	})
}

// The processes can't look at the gate once the campaign was let go on: their leases are all that they have.
func TestNobodyIsRefusedFromMemoryAfterSomebodyWasLetIn(t *testing.T) {
	for name, c := range map[string]struct {
		stop, letGoOn func(*domain.Campaign)
		code          domain.Code
	}{
		"a pause ends": {
			func(c *domain.Campaign) { c.State = domain.CampaignPaused },
			func(c *domain.Campaign) { c.State = domain.CampaignOpen }, domain.CodePaused,
		},
		"the start comes sooner": {
			func(c *domain.Campaign) { c.StartsAt = time.Now().Add(time.Hour) },
			func(c *domain.Campaign) { c.StartsAt = time.Now() }, domain.CodeNotStarted,
		},
		"the start comes a little sooner": {
			func(c *domain.Campaign) { c.StartsAt = time.Now().Add(2500 * time.Millisecond) },
			func(c *domain.Campaign) { c.StartsAt = time.Now().Add(100 * time.Millisecond) }, domain.CodeNotStarted,
		},
		"the end comes later": {
			func(c *domain.Campaign) { c.EndsAt = time.Now() },
			func(c *domain.Campaign) { c.EndsAt = time.Now().Add(time.Hour) }, domain.CodeEnded,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				campaign := campaignNow()
				c.stop(&campaign)
				twoProcesses(t, campaign, func(g *windowGate, services [2]*Service) {
					user := domain.UserID(100)
					ask := func(service *Service) Answer { user++; return service.Apply(t.Context(), "spring", user) }
					for _, service := range services {
						require.Equal(t, c.code, domain.CodeOf(ask(service).Err))
						synctest.Wait()
						require.False(t, g.asksTheGate(func() { require.Equal(t, c.code, domain.CodeOf(ask(service).Err)) }))
						require.True(t, service.Apply(t.Context(), "spring", 1).Known, "a winner")
					}
					time.Sleep(500 * time.Millisecond)
					synctest.Wait()
					g.freeze(true)
					services[0].directory.lookUp("spring").refusals.drop() // the leases don't end together
					g.change(c.letGoOn)
					letIn := [2]bool{}
					for range 300 {
						for i, service := range services {
							given := ask(service)
							if given.Err == nil {
								letIn[i] = true
								continue
							}
							require.Equal(t, c.code, domain.CodeOf(given.Err))
							require.False(t, letIn[0] || letIn[1], "somebody was let in already")
						}
						time.Sleep(10 * time.Millisecond)
					}
					require.Equal(t, [2]bool{true, true}, letIn)
				})
			})
		})
	}
}

// Whatever operators change and whichever process can't look for a while: memory refuses only those that the gate refuses at
// that moment.
func TestMemoryRefusesOnlyWhomTheGateRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ rapid.TB }{t}, func(rt *rapid.T) { // a bubble's test does not tell its deadline
			twoProcesses(t, campaignNow(), func(g *windowGate, services [2]*Service) {
				user := domain.UserID(100)
				moment := rapid.Custom(func(t *rapid.T) time.Duration {
					return time.Duration(rapid.IntRange(-1500, 3000).Draw(t, "ms")) * time.Millisecond
				})
				rt.Repeat(map[string]func(*rapid.T){
					"ask": func(rt *rapid.T) {
						user++
						var given Answer
						service := services[rapid.IntRange(0, 1).Draw(rt, "service")]
						if !g.asksTheGate(func() { given = service.Apply(t.Context(), "spring", user) }) {
							require.Error(rt, g.refuse(), "refused from memory: %v", given.Err)
						}
						synctest.Wait()
					},
					"a winner asks": func(rt *rapid.T) {
						service := services[rapid.IntRange(0, 1).Draw(rt, "service")]
						require.True(rt, service.Apply(t.Context(), "spring", 1).Known)
					},
					"wait": func(rt *rapid.T) {
						time.Sleep(time.Duration(rapid.IntRange(1, 1200).Draw(rt, "ms")) * time.Millisecond)
						synctest.Wait()
					},
					"freeze": func(rt *rapid.T) { g.freeze(rapid.Bool().Draw(rt, "frozen")) },
					"pause": func(rt *rapid.T) {
						state := rapid.SampledFrom([]domain.CampaignState{domain.CampaignOpen, domain.CampaignPaused}).Draw(rt, "state")
						g.change(func(c *domain.Campaign) { c.State = state })
					},
					"window": func(rt *rapid.T) {
						start, end := moment.Draw(rt, "start"), moment.Draw(rt, "end")
						g.change(func(c *domain.Campaign) {
							c.StartsAt, c.EndsAt = time.Now().Add(start), time.Now().Add(max(end, start+1))
						})
					},
				})
			})
		})
	})
}
