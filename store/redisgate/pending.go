package redisgate

import (
	"context"
	"strconv"
	"strings"
	"time"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// pendingPage is how many entries one script call gives or removes at most.
const pendingPage = 500

// Pending implements domain.PendingReader. Entries that can't be read are reported in the log and left out; they stay
// in Redis. Fewer entries than limit always mean that there are no more.
func (g *Gate) Pending(ctx context.Context, campaign, after string, limit int) ([]domain.PendingEntry, error) {
	var entries []domain.PendingEntry
	for len(entries) < limit {
		page := min(limit-len(entries), pendingPage)
		raw, now, err := g.pendingAfter(ctx, campaign, after, page)
		if err != nil {
			return nil, err
		}
		for _, one := range raw {
			fields, _ := one.([]any)
			after = reply(fields).text(0)
			if entry, ok := readEntry(campaign, fields, now); ok {
				entries = append(entries, entry)
			} else {
				g.logger.Error("a pending entry can't be read", "campaign", campaign, "entry", after)
			}
		}
		if len(raw) < page {
			break
		}
	}
	return entries, nil
}

// pendingAfter gives one page of entries as Redis holds them, and the time by which their age is counted.
func (g *Gate) pendingAfter(ctx context.Context, campaign, after string, limit int) ([]any, time.Time, error) {
	start := "-"
	if after != "" {
		start = "(" + after
	}
	answer, err := g.ask(ctx, pendingScript, campaign, start, limit)
	if err != nil {
		return nil, time.Time{}, err
	}
	if len(answer) < 3 {
		return nil, time.Time{}, errUnreadable("pending")
	}
	raw, _ := answer[2].([]any)
	return raw, moment(answer.number(1)), nil
}

// readEntry reads an entry as XRANGE gives it: the ID, then names and values.
func readEntry(campaign string, raw reply, now time.Time) (domain.PendingEntry, bool) {
	entry := domain.PendingEntry{ID: raw.text(0)}
	ms, ok := entryMilliseconds(entry.ID)
	if !ok || len(raw) < 2 {
		return entry, false
	}
	entry.Age = now.Sub(moment(ms))
	list, _ := raw[1].([]any)
	fields := reply(list)
	if fields.text(0) != "e" || fields.text(2) != "w" {
		return entry, false
	}
	epoch, err := strconv.ParseInt(fields.text(1), 10, 64)
	if err != nil {
		return entry, false
	}
	for text := range strings.SplitSeq(fields.text(3), ",") {
		winner, ok := readPendingWinner(text, ms)
		if !ok {
			return entry, false
		}
		winner.Campaign, winner.Epoch = campaign, epoch
		entry.Winners = append(entry.Winners, winner)
	}
	return entry, true
}

// readPendingWinner reads user:slot or user:slot:admitted_ms; entryMS stands for what is missing.
func readPendingWinner(text string, entryMS int64) (domain.Winner, bool) {
	userText, rest, _ := strings.Cut(text, ":")
	user, err := domain.ParseUserID(userText)
	if err != nil {
		return domain.Winner{}, false
	}
	if !strings.Contains(rest, ":") {
		rest += ":" + strconv.FormatInt(entryMS, 10)
	}
	winner, ok := readWinner("", user, rest, 0)
	return winner, ok && winner.Slot > 0
}

func entryMilliseconds(id string) (int64, bool) {
	text, _, _ := strings.Cut(id, "-")
	ms, err := strconv.ParseInt(text, 10, 64)
	return ms, err == nil
}

// Acknowledge implements domain.PendingReader and domain.Admitter.
func (g *Gate) Acknowledge(ctx context.Context, campaign string, epoch int64, entryIDs []string) error {
	for {
		some := entryIDs[:min(len(entryIDs), pendingPage)]
		entryIDs = entryIDs[len(some):]
		argv := make([]any, 0, 1+len(some))
		argv = append(argv, epoch)
		for _, id := range some {
			argv = append(argv, id)
		}
		answer, err := g.askOpen(ctx, acknowledgeScript, campaign, argv...)
		if err == nil {
			crashpoint.Reach(crashpoint.GateAcknowledged)
		}
		switch {
		case err != nil:
			return err
		case answer.number(1) != epoch:
			return errEpochChanged
		case len(entryIDs) == 0:
			return nil
		}
	}
}
