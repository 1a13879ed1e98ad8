package redisgate

import (
	"context"
	"strconv"
	"strings"
	"time"

	"firstcome/crashpoint"
	"firstcome/domain"
)

var (
	modeAdmit  any = "admit"
	modeHonour any = "honour"
)

// AdmitAll implements domain.Admitter.
func (g *Gate) AdmitAll(ctx context.Context, campaign string, users []domain.UserID, decisions []domain.Decision) error {
	return g.decideAll(ctx, modeAdmit, question{campaign, users, decisions})
}

// HonourAll implements domain.Admitter.
func (g *Gate) HonourAll(ctx context.Context, campaign string, users []domain.UserID, decisions []domain.Decision) error {
	return g.decideAll(ctx, modeHonour, question{campaign, users, decisions})
}

// question is a batch of users, and the place for the answers.
type question struct {
	campaign  string
	users     []domain.UserID
	decisions []domain.Decision
}

func (g *Gate) decideAll(ctx context.Context, mode any, asked question) error {
	if len(asked.users) > domain.MaxBatch || len(asked.decisions) != len(asked.users) {
		return errBatch
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := g.find(ctx, asked.campaign)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, g.config.CallTimeout)
	defer cancel()
	return g.decide(ctx, c, mode, asked)
}

// decide has the script decide a batch. An error is everybody's.
func (g *Gate) decide(ctx context.Context, c *campaign, mode any, asked question) error {
	g.metrics.batchSize.Observe(float64(len(asked.users)))
	kept, _ := g.commands.Get().(*[]any)
	args := admitScript.appendHead((*kept)[:0], &c.keys)
	epoch, count := c.seen()
	args = append(args, &epoch, &count, mode)
	for i := range asked.users {
		args = append(args, (*int64)(&asked.users[i])) // a pointer: a boxed number would be allocated
	}
	answer, err := g.call(ctx, admitScript, args)
	clear(args)
	*kept = args
	g.commands.Put(kept)
	if err == nil {
		crashpoint.Reach(crashpoint.GateDecided)
		err = g.handOut(c, answer, asked)
	}
	return err
}

// handOut gives each user of a batch their part of the answer; an error is everybody's.
func (g *Gate) handOut(c *campaign, answer reply, asked question) error {
	if answer.text(0) == "CLOSED" {
		return g.closed(c, answer.text(1))
	}
	decided, err := readDecisions(answer)
	if err != nil {
		return err
	}
	decided.campaign = c.code
	rest := answer.text(5)
	var results [resultCount]int
	for i, user := range asked.users {
		var item string
		item, rest, _ = strings.Cut(rest, ",")
		decision := &asked.decisions[i]
		var result int
		if decision.Admission, result, decision.Err = decided.read(user, item); result < 0 {
			return errUnreadable(item)
		}
		results[result]++
	}
	tellIn := time.Duration(answer.number(6)) * time.Millisecond
	for i := range asked.decisions {
		decision := &asked.decisions[i]
		decision.Epoch, decision.TellIn = decided.epoch, tellIn
		if decision.New {
			decision.EntryID, decision.EntrySize = decided.entryID, results[resultNew]
		}
	}
	for result, times := range results {
		g.metrics.decisions[result].Add(float64(times))
	}
	c.saw(decided.epoch, answer.number(2))
	return nil
}

// decisions is what the answers of one batch have in common.
type decisions struct {
	campaign      string
	epoch         int64
	entryID       string
	entryMS       int64
	errNotStarted error
}

func readDecisions(answer reply) (decisions, error) {
	d := decisions{epoch: answer.number(1), entryID: answer.text(3)}
	if d.entryID != "" {
		ms, _, _ := strings.Cut(d.entryID, "-")
		var err error
		if d.entryMS, err = strconv.ParseInt(ms, 10, 64); err != nil {
			return d, errUnreadable(d.entryID)
		}
	}
	if wait := answer.number(4); wait > 0 {
		d.errNotStarted = errNotStarted(time.Duration(wait) * time.Millisecond)
	}
	return d, nil
}

// read reads one item of script/admit.lua's answer. A result below 0 means that it can't be read.
func (d *decisions) read(user domain.UserID, item string) (domain.Admission, int, error) {
	switch item {
	case "S":
		return domain.Admission{}, resultSoldOut, errSoldOut
	case "P":
		return domain.Admission{}, resultPaused, errPaused
	case "E":
		return domain.Admission{}, resultEnded, errEnded
	case "N":
		return domain.Admission{}, resultNotStarted, d.errNotStarted
	case "C":
		return domain.Admission{}, resultReopening, errReopening
	case "":
		return domain.Admission{}, -1, nil
	}
	if item[0] == '+' || item[0] == '=' {
		return d.readNew(user, item)
	}
	value, perhapsNot := strings.CutSuffix(item, "?")
	winner, ok := readWinner(d.campaign, user, value, d.epoch)
	if !ok {
		return domain.Admission{}, -1, nil
	}
	if winner.Slot == domain.NoSlot {
		return domain.Admission{}, resultRevoked, errRevoked
	}
	return domain.Admission{Winner: winner, InQueue: !perhapsNot}, resultKnown, nil
}

// readNew reads the item of a user that this very batch admitted: the first time, or asked once more in it.
func (d *decisions) readNew(user domain.UserID, item string) (domain.Admission, int, error) {
	slot, err := strconv.ParseInt(item[1:], 10, 64)
	if err != nil {
		return domain.Admission{}, -1, nil //nolint:nilerr // the caller makes the error from the item
	}
	admission := domain.Admission{
		Winner: domain.Winner{
			Campaign: d.campaign, UserID: user, Slot: domain.Slot(slot), Epoch: d.epoch,
			AdmittedAt: time.UnixMilli(d.entryMS).UTC(),
		},
		New: item[0] == '+',
	}
	if admission.New {
		return admission, resultNew, nil
	}
	return admission, resultKnown, nil
}

// readWinner reads a value of the users hash: slot:admitted_ms.
func readWinner(campaign string, user domain.UserID, value string, epoch int64) (domain.Winner, bool) {
	slotText, msText, _ := strings.Cut(value, ":")
	slot, slotErr := strconv.ParseInt(slotText, 10, 64)
	ms, msErr := strconv.ParseInt(msText, 10, 64)
	return domain.Winner{
		Campaign: campaign, UserID: user, Slot: domain.Slot(slot), Epoch: epoch, AdmittedAt: time.UnixMilli(ms).UTC(),
	}, slotErr == nil && msErr == nil
}
