// Package loadtest sends one application for each of many users to a running firstcome and checks, user by user,
// that what was promised is what was issued. It speaks HTTP only, and so measures what an applicant meets.
//
// The generator is a closed loop or an open one (loop.go). In the closed loop a fixed number of applications is under
// way, and the next one starts when one is answered: a slow server is asked less often, and the latencies say nothing
// about a crowd that does not wait for its turn. In the open loop users come at given times, whatever the server does,
// and latencies count from those times.
package loadtest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"firstcome/domain"
)

// Run is one load test:
//
//  1. check the configuration; nothing was sent yet;
//  2. create the campaign, or see that the one that is named exists;
//  3. wait until its gate is open;
//  4. send one application for each user, in random order, and keep each answer;
//  5. print the answers, the latency and the throughput;
//  6. wait until the campaign is settled: nothing is on its way between admission and coupon;
//  7. read all coupons and fail events, compare them with the answers, and print the differences.
//
// It changes nothing after step 4, so a run that is stopped leaves a campaign behind and harms nothing. When the context
// ends in steps 4 to 7, steps 6 and 7 are done with what was promised until then, each for interruptedPatience at most.
//
// Differences are no error: they are in the report. An error means that the run could not be finished; the report
// then holds what was known until then. Errors: CodeInvalidRequest names a field of the configuration; a
// *domain.Error is a refusal by the admin API; the context's error means that it ended first.
func Run(ctx context.Context, cfg Config, out io.Writer) (Report, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return Report{}, err
	}
	cfg.Seed = orDefault(cfg.Seed, rand.Uint64())
	transport := newTransport()
	defer transport.CloseIdleConnections()
	r := &run{cfg: cfg, out: out, client: newClient(cfg, transport)}
	err := r.do(ctx)
	return r.report, err
}

// interruptedPatience is how long somebody who stopped the run waits at the most until the campaign is settled, and then
// until its coupons are read.
const interruptedPatience = 5 * time.Second

type run struct {
	cfg     Config
	out     io.Writer
	client  *client
	report  Report
	answers []Answer
}

func (r *run) do(ctx context.Context) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	err := r.load(ctx)
	r.report.printAnswers(r.out)
	if r.cfg.Once {
		return err
	}
	if err == nil {
		err = r.compare(ctx, r.cfg.SettleTimeout)
	}
	if ctx.Err() != nil {
		_, _ = fmt.Fprintln(r.out, "interrupted  what was promised until now is compared")
		r.report.Interrupted = true
		err = ctx.Err()
		if failed := r.compare(context.WithoutCancel(ctx), min(interruptedPatience, r.cfg.SettleTimeout)); failed != nil {
			err = fmt.Errorf("%w; %w", err, failed)
		}
	}
	r.report.printComparison(r.out)
	return err
}

// prepare makes sure that there is a campaign whose gate is open.
func (r *run) prepare(ctx context.Context) error {
	code := orDefault(r.cfg.Campaign, newCampaignCode(time.Now()))
	r.report.Campaign, r.report.Seed = code, r.cfg.Seed
	r.report.Users, r.report.Concurrency = r.cfg.Users, r.cfg.Concurrency
	r.report.Rate, r.report.Ramp, r.report.BurstAt, r.report.BurstUsers = r.cfg.Rate, r.cfg.Ramp, r.cfg.BurstAt, r.cfg.BurstUsers
	if err := r.makeCampaign(ctx, code); err != nil {
		return err
	}
	what := "the gate of campaign " + code + " is open"
	return poll(ctx, r.cfg.OpenTimeout, what, func(ctx context.Context) (bool, error) {
		status, err := r.client.campaign(ctx, code)
		r.report.Quota = r.quota(status)
		return status.Gate == "open", err
	})
}

// makeCampaign makes the campaign of this run, or sees that the one that is named exists: a name that is mistyped makes
// none.
func (r *run) makeCampaign(ctx context.Context, code string) error {
	if r.cfg.Campaign != "" && !r.cfg.Create {
		_, err := r.client.campaign(ctx, code)
		if domain.CodeOf(err) == domain.CodeUnknownCampaign {
			return fmt.Errorf("there is no campaign %s at %s; --create makes it: %w", code, r.cfg.BaseURL, err)
		}
		return nil // whatever else it is, the wait for the open gate meets it too
	}
	err := r.client.createCampaign(ctx, code, r.cfg.Quota)
	exists := r.cfg.Campaign != "" && domain.CodeOf(err) == domain.CodeConflict
	if err != nil && !exists {
		return fmt.Errorf("creating campaign %s at %s: %w", code, r.cfg.BaseURL, err)
	}
	return nil
}

// quota of a campaign that is this run's alone is what the run asked for, whatever the server makes of it.
func (r *run) quota(status campaignStatus) int64 {
	if r.cfg.Campaign == "" {
		return r.cfg.Quota
	}
	return status.Quota
}

// newCampaignCode names the campaign of one run, so that a list of campaigns shows what it was.
func newCampaignCode(now time.Time) string {
	return fmt.Sprintf("loadtest-%s-%08x", now.UTC().Format("20060102-150405"), rand.Uint32())
}

// load sends the applications and measures them.
func (r *run) load(ctx context.Context) error {
	measured := newRecorder()
	sender, err := newApplicant(r.cfg, r.report.Campaign, measured)
	if err != nil {
		return err
	}
	if r.cfg.Progress {
		shown, interval := displayFor(r.out, r.cfg.Users)
		defer watch(shown, interval, measured.progress)()
	}
	users := shuffledUsers(r.cfg)
	began := time.Now()
	r.answers = send(ctx, sender, users, r.cfg)
	r.report.Elapsed = time.Since(began)
	r.report.Answers, r.report.Retried = tally(r.answers), measured.retries
	r.report.Requests, r.report.Latency, r.report.WinnerLatency = measured.requests, measured.percentiles(), winnerLatency(r.answers)
	r.report.Intervals, r.report.Latest = measured.finish(), time.Duration(measured.latest.Load())
	r.report.PerSecond = float64(measured.requests) / r.report.Elapsed.Seconds()
	return ctx.Err()
}

// shuffledUsers gives the users in an order that the seed decides, so that who wins does not depend on the number.
func shuffledUsers(cfg Config) []domain.UserID {
	users := make([]domain.UserID, cfg.Users)
	for index := range users {
		users[index] = domain.UserID(cfg.FirstUserID + int64(index))
	}
	random := rand.New(rand.NewPCG(cfg.Seed, 0))
	random.Shuffle(len(users), func(i, j int) { users[i], users[j] = users[j], users[i] })
	return users
}

// compare waits until nothing is on its way any more, and then holds the promises against the coupons. A campaign that
// does not settle in time has no differences yet; the report names the promises that are open.
func (r *run) compare(ctx context.Context, patience time.Duration) error {
	code, began := r.report.Campaign, time.Now()
	facts := Facts{Exclusive: r.cfg.Campaign == "", Answers: r.answers}
	if !wait(ctx, r.cfg.statusAge) {
		return ctx.Err()
	}
	what := "campaign " + code + " is settled"
	unsettled := poll(ctx, patience, what, func(ctx context.Context) (bool, error) {
		status, err := r.client.campaign(ctx, code)
		facts.Quota, facts.HighestSlot = r.quota(status), status.HighestSlot
		return status.Settled, err
	})
	r.report.SettledAfter = time.Since(began)
	what = "the coupons of campaign " + code + " are read"
	err := poll(ctx, patience, what, func(ctx context.Context) (bool, error) {
		return true, r.read(ctx, &facts)
	})
	if unsettled != nil || err != nil {
		r.report.Open = openPromises(facts)
		return cmp.Or(unsettled, err)
	}
	r.report.Quota, r.report.Settled = facts.Quota, true
	r.report.Comparison = Compare(facts)
	return nil
}

// read takes the fail events first: a promise that turns from fail event into coupon meanwhile is then in both lists,
// and in the other order it could be in neither.
func (r *run) read(ctx context.Context, facts *Facts) (err error) {
	if facts.FailEvents, err = r.client.failEvents(ctx, r.report.Campaign); err != nil {
		return err
	}
	facts.Coupons, err = r.client.coupons(ctx, r.report.Campaign)
	return err
}
