package redisgate

import (
	"context"
	"strconv"

	"firstcome/domain"
)

const (
	// scanPage is about how many users or free slots one call gives: some hundred microseconds of Redis's time.
	scanPage = 1000
	// maxScanPages ends a scan that finds no end; it is far above what the largest campaign needs.
	maxScanPages = 1_000_000
	// findPage is how many users one call looks up.
	findPage = 500
)

var (
	_ domain.GateLister      = (*Gate)(nil)
	_ domain.PendingRestorer = (*Gate)(nil)
)

// VisitWinners implements domain.GateLister. A user whose value can't be read is reported in the log and left out.
func (g *Gate) VisitWinners(ctx context.Context, campaign string, visit func(domain.GateWinner) error) error {
	cursor := "0"
	for range maxScanPages {
		answer, err := g.ask(ctx, scanUsersScript, campaign, cursor, scanPage)
		if err != nil {
			return err
		}
		values := answer.list(2)
		for i := 0; i+1 < len(values); i += 2 {
			winner, ok := g.gateWinner(campaign, values.text(i), values.text(i+1))
			if !ok {
				continue
			}
			if err := visit(winner); err != nil {
				return err
			}
		}
		if cursor = answer.text(1); cursor == "0" {
			return nil
		}
	}
	return errUnreadable("the scan of the users has no end")
}

func (g *Gate) gateWinner(campaign, userText, value string) (domain.GateWinner, bool) {
	user, err := domain.ParseUserID(userText)
	winner, ok := readWinner(campaign, user, value, 0)
	if err != nil || !ok {
		g.logger.Error("a user of the gate can't be read", "campaign", campaign, "user", userText, "value", value)
		return domain.GateWinner{}, false
	}
	return domain.GateWinner{UserID: user, Slot: winner.Slot, AdmittedAt: winner.AdmittedAt}, true
}

// VisitFree implements domain.GateLister.
func (g *Gate) VisitFree(ctx context.Context, campaign string, visit func(domain.Slot) error) error {
	after := "0"
	for range maxScanPages {
		answer, err := g.ask(ctx, listFreeScript, campaign, after, scanPage)
		if err != nil {
			return err
		}
		slots := answer.list(1)
		for i := range slots {
			slot, err := strconv.ParseInt(slots.text(i), 10, 64)
			if err != nil {
				g.logger.Error("a free slot can't be read", "campaign", campaign, "slot", slots.text(i))
				continue
			}
			if err := visit(domain.Slot(slot)); err != nil {
				return err
			}
			after = slots.text(i)
		}
		if len(slots) < scanPage {
			return nil
		}
	}
	return errUnreadable("the list of the free slots has no end")
}

// FindWinners implements domain.GateLister.
func (g *Gate) FindWinners(
	ctx context.Context, campaign string, users []domain.UserID,
) ([]domain.GateWinner, error) {
	var found []domain.GateWinner
	for len(users) > 0 {
		some := users[:min(len(users), findPage)]
		users = users[len(some):]
		argv := make([]any, len(some))
		for i, user := range some {
			argv[i] = int64(user)
		}
		answer, err := g.ask(ctx, findUsersScript, campaign, argv...)
		if err != nil {
			return nil, err
		}
		values := answer.list(1)
		for i, user := range some {
			if values.text(i) == "" {
				continue
			}
			if winner, ok := g.gateWinner(campaign, user.String(), values.text(i)); ok {
				found = append(found, winner)
			}
		}
	}
	return found, nil
}

// PutBack implements domain.PendingRestorer.
func (g *Gate) PutBack(ctx context.Context, winner domain.Winner) (bool, error) {
	answer, err := g.ask(ctx, putBackScript, winner.Campaign, winner.Epoch, int64(winner.UserID), int64(winner.Slot))
	return err == nil && answer.number(1) == 1, err
}
