package retryer

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"firstcome/crashpoint"
	"firstcome/domain"
)

const (
	// relayPage is how many pending entries are sent together; each holds one batch of the admission.
	relayPage = 20
	// maxRelayPages bounds what one run sends for one campaign.
	maxRelayPages = 50
	// relayTurn is after which time a run begins no further page of a campaign: the rest waits for the next run.
	relayTurn = 5 * time.Second
	// relayTimeout bounds the wait for the brokers, so that one campaign does not keep the others waiting.
	relayTimeout = 15 * time.Second
)

// relayOnce sends what was admitted but not confirmed for a while, and says how many winners it sent. For each page:
//
//  1. Send the winners. A crash leaves the entries: they are sent again, and the consumer knows the duplicates.
//  2. Keep a winner as a fail event whose record Kafka refuses for good. A crash leaves the entry, and the next run meets
//     the same event.
//  3. Remove each entry all of whose winners were taken, whatever becomes of the others, if the gate is still at their
//     epoch. Otherwise the rebuild has taken them over.
func (r *Retryer) relayOnce(ctx context.Context) (int, error) {
	campaigns, err := r.ports.Campaigns.Campaigns(ctx)
	if err != nil {
		return 0, err
	}
	now, others := r.relays.begin(campaigns)
	sent, err := r.relayThese(ctx, now)
	if sent > 0 {
		more, failed := r.relayThese(ctx, others)
		sent, err = sent+more, errors.Join(err, failed)
	}
	return sent, err
}

func (r *Retryer) relayThese(ctx context.Context, campaigns []domain.Campaign) (int, error) {
	var total atomic.Int64
	err := eachCampaign(ctx, campaigns, func(ctx context.Context, campaign domain.Campaign) error {
		sent, err := r.relayCampaign(ctx, campaign)
		total.Add(int64(sent))
		return err
	})
	return int(total.Load()), err
}

// relayCampaign leaves a closed gate alone: the rebuild takes over what is pending there, under another epoch.
func (r *Retryer) relayCampaign(ctx context.Context, campaign domain.Campaign) (int, error) {
	report, err := r.ports.GateReader.Inspect(ctx, campaign.Code)
	if err != nil {
		return 0, err
	}
	if report.Closed != "" || report.PendingEntries == 0 {
		r.relays.settle(campaign)
		return 0, nil
	}
	r.relays.unsettle(campaign.Code)
	if !isDue(report.OldestPendingAge, r.cfg.RelayAfter) {
		return 0, nil
	}
	return r.relayDue(ctx, campaign.Code)
}

func (r *Retryer) relayDue(ctx context.Context, code string) (int, error) {
	sent, after := 0, ""
	turn := time.Now().Add(relayTurn)
	for page := range maxRelayPages {
		if page > 0 && time.Now().After(turn) {
			break
		}
		entries, err := r.ports.Pending.Pending(ctx, code, after, relayPage)
		if err != nil {
			return sent, err
		}
		due := leadingDue(entries, r.cfg.RelayAfter)
		for _, group := range byEpoch(due) {
			crashpoint.Reach(crashpoint.RelayRead)
			taken, err := r.send(ctx, code, group)
			sent += taken
			if err != nil {
				return sent, err
			}
		}
		if len(due) < relayPage {
			break
		}
		after = due[len(due)-1].ID
	}
	return sent, nil
}

// isDue says whether what has waited for so long is to be sent. Of something from the future nobody knows how long it
// has waited: Redis's clock was set back, and until it has caught up everything pending looks like that. Sending it
// early costs a duplicate; not sending it would leave winners waiting for as long as the clock was wrong.
func isDue(waited, after time.Duration) bool { return waited < 0 || waited >= after }

// leadingDue gives the leading entries that are due; entries come oldest first.
func leadingDue(entries []domain.PendingEntry, age time.Duration) []domain.PendingEntry {
	for i, entry := range entries {
		if !isDue(entry.Age, age) {
			return entries[:i]
		}
	}
	return entries
}
