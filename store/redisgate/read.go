package redisgate

import (
	"context"
	"time"

	"firstcome/domain"
)

// Lookup implements domain.GateReader.
func (g *Gate) Lookup(ctx context.Context, campaign string, user domain.UserID) (domain.Admission, error) {
	answer, err := g.askOpen(ctx, lookupScript, campaign, int64(user))
	if err != nil {
		return domain.Admission{}, err
	}
	value := answer.text(3)
	if value == "" {
		return domain.Admission{Winner: domain.Winner{Epoch: answer.number(1)}}, errNotFound
	}
	winner, ok := readWinner(campaign, user, value, answer.number(1))
	if !ok {
		return domain.Admission{}, errGateClosed("users")
	}
	return domain.Admission{
		Winner: winner, InQueue: answer.number(4) == 1,
		TellIn: time.Duration(answer.number(5)) * time.Millisecond,
	}, nil
}

// Inspect implements domain.GateReader. A gate that seems closed is looked at again on a new connection: the one before may
// lead to a server that was replaced, and a rebuild for its sake would close the gate that is in use. CodeUnavailable: it
// is closed, and too few sentinels say that its server is the primary.
func (g *Gate) Inspect(ctx context.Context, campaign string) (domain.GateReport, error) {
	report, err := g.inspect(ctx, campaign)
	if err == nil && report.Closed != "" && g.link.renew() {
		report, err = g.inspect(ctx, campaign)
	}
	if err == nil && report.Closed != "" {
		err = g.link.confirm()
	}
	return report, err
}

func (g *Gate) inspect(ctx context.Context, campaign string) (domain.GateReport, error) {
	c, err := g.find(ctx, campaign)
	if err != nil {
		return domain.GateReport{}, err
	}
	epoch, count := c.seen()
	answer, err := g.ask(ctx, inspectScript, campaign, epoch, count)
	if err != nil {
		return domain.GateReport{}, err
	}
	report := domain.GateReport{
		Closed: answer.text(1), Epoch: answer.number(2), Quota: answer.number(3),
		StartsAt: moment(answer.number(4)), EndsAt: moment(answer.number(5)),
		State: domain.CampaignState(answer.text(6)),
		Count: answer.number(7), Free: answer.number(8), Winners: answer.number(9), Revoked: answer.number(10),
		PendingEntries: answer.number(11), ServerTime: moment(answer.number(13)), Owed: answer.number(14),
		SettingsVersion: answer.number(15), SeenEpoch: epoch,
	}
	if oldest, exists := answer.milliseconds(12); exists {
		report.OldestPendingAge = report.ServerTime.Sub(moment(oldest))
	}
	if report.Closed == "" {
		c.saw(report.Epoch, report.Count)
	}
	return report, nil
}

func moment(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
