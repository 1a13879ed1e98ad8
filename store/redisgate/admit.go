package redisgate

import (
	"context"
	"strconv"
	"strings"
	"time"

	"firstcome/domain"
)

var (
	modeAdmit  any = "admit"
	modeHonour any = "honour"
)

// Admit implements domain.Admitter.
func (g *Gate) Admit(ctx context.Context, campaign string, user domain.UserID) (domain.Admission, error) {
	c, err := g.campaigns.find(campaign)
	if err != nil {
		return domain.Admission{}, err
	}
	return g.admits.do(ctx, c, &c.admit, user)
}

// Honour implements domain.Admitter.
func (g *Gate) Honour(ctx context.Context, campaign string, user domain.UserID) (domain.Admission, error) {
	c, err := g.campaigns.find(campaign)
	if err != nil {
		return domain.Admission{}, err
	}
	return g.honours.do(ctx, c, &c.honour, user)
}

// admitCall is one application that waits.
type admitCall = call[domain.UserID, domain.Admission]

func (g *Gate) runAdmits(c *campaign, batch []*admitCall)  { g.decide(c, modeAdmit, batch) }
func (g *Gate) runHonours(c *campaign, batch []*admitCall) { g.decide(c, modeHonour, batch) }

// decide has the script decide a batch. The call is bounded by CallTimeout alone: that one caller leaves must not undo
// the answers of the others.
func (g *Gate) decide(c *campaign, mode any, batch []*admitCall) {
	g.metrics.batchSize.Observe(float64(len(batch)))
	ctx, cancel := context.WithTimeout(context.Background(), g.config.CallTimeout)
	defer cancel()
	kept, _ := g.commands.Get().(*[]any)
	args := admitScript.appendHead((*kept)[:0], &c.keys)
	epoch, count := c.seen()
	args = append(args, &epoch, &count, mode)
	for _, asked := range batch {
		args = append(args, (*int64)(&asked.in)) // a pointer: a boxed number would be allocated
	}
	answer, err := g.call(ctx, admitScript, args)
	clear(args)
	*kept = args
	g.commands.Put(kept)
	if err == nil {
		err = g.handOut(c, answer, batch)
	}
	if err != nil {
		for _, asked := range batch {
			asked.out, asked.err = domain.Admission{}, err
		}
	}
}

// handOut gives each call of a batch its part of the answer; an error is everybody's.
func (g *Gate) handOut(c *campaign, answer reply, batch []*admitCall) error {
	if answer.text(0) == "CLOSED" {
		return g.closed(c, answer.text(1))
	}
	decided, err := readDecisions(answer)
	if err != nil {
		return err
	}
	decided.campaign = c.code
	rest := answer.text(6)
	for _, asked := range batch {
		var item string
		item, rest, _ = strings.Cut(rest, ",")
		var result int
		if asked.out, result, asked.err = decided.read(asked.in, item); result < 0 {
			return errUnreadable(item)
		}
		g.metrics.decisions[result].Inc()
		if asked.out.New {
			decided.newWinners++
		}
	}
	for _, asked := range batch {
		if asked.out.New {
			asked.out.EntryID, asked.out.EntrySize = decided.entryID, decided.newWinners
		}
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
	oldestMS      int64
	anyPending    bool
	newWinners    int
	errNotStarted error
}

func readDecisions(answer reply) (decisions, error) {
	d := decisions{epoch: answer.number(1), entryID: answer.text(3)}
	d.oldestMS, d.anyPending = answer.milliseconds(4)
	if d.entryID != "" {
		ms, _, _ := strings.Cut(d.entryID, "-")
		var err error
		if d.entryMS, err = strconv.ParseInt(ms, 10, 64); err != nil {
			return d, errUnreadable(d.entryID)
		}
	}
	if wait := answer.number(5); wait > 0 {
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
	case "":
		return domain.Admission{}, -1, nil
	}
	if item[0] == '+' || item[0] == '=' {
		return d.readNew(user, item)
	}
	winner, ok := readWinner(d.campaign, user, item, d.epoch)
	if !ok {
		return domain.Admission{}, -1, nil
	}
	if winner.Slot == domain.NoSlot {
		return domain.Admission{}, resultRevoked, errRevoked
	}
	inQueue := !d.anyPending || winner.AdmittedAt.UnixMilli() < d.oldestMS
	return domain.Admission{Winner: winner, InQueue: inQueue}, resultKnown, nil
}

// readNew reads the item of a user whom this very batch admitted: the first time, or asked once more in it.
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
