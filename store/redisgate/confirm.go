package redisgate

import (
	"context"
	"strconv"
	"sync"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// maxConfirmations bounds the entries of one campaign of which some winners are confirmed and some are not. An entry
// that is forgotten stays pending until the relay has sent its records once more.
const maxConfirmations = 1024

// confirmations counts, for each pending entry with several winners, which of them were confirmed in this process.
type confirmations struct {
	mu      sync.Mutex
	entries map[string]map[domain.UserID]struct{}
}

// add notes a confirmed winner, and says whether the entry may go: each of its winners is confirmed. Users are told
// apart, because a caller that got no answer confirms the same winner again.
func (cs *confirmations) add(admission *domain.Admission, key string) bool {
	if admission.EntrySize <= 1 {
		return admission.EntryID != ""
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	users := cs.entries[key]
	if users == nil {
		users = make(map[domain.UserID]struct{}, admission.EntrySize)
		cs.remember(key, users)
	}
	users[admission.UserID] = struct{}{}
	return len(users) == admission.EntrySize
}

func (cs *confirmations) remember(key string, users map[domain.UserID]struct{}) {
	if cs.entries == nil {
		cs.entries = map[string]map[domain.UserID]struct{}{}
	}
	if len(cs.entries) >= maxConfirmations {
		for any := range cs.entries {
			delete(cs.entries, any)
			break
		}
	}
	cs.entries[key] = users
}

func (cs *confirmations) forget(key string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.entries, key)
}

// confirmationKey tells entries of different epochs apart: their IDs may be the same.
func confirmationKey(admission *domain.Admission) string {
	return strconv.FormatInt(admission.Epoch, 10) + " " + admission.EntryID
}

// Confirm implements domain.Admitter.
func (g *Gate) Confirm(ctx context.Context, admission domain.Admission) error {
	c, err := g.campaigns.find(admission.Campaign)
	if err != nil {
		return err
	}
	_, err = g.confirms.do(ctx, c, &c.confirm, admission)
	return err
}

// confirmCall is one confirmation that waits.
type confirmCall = call[domain.Admission, struct{}]

// runConfirms removes the entries that the batch completes. Each caller is answered by the epoch that the script found,
// whether its entry went or not.
func (g *Gate) runConfirms(c *campaign, batch []*confirmCall) {
	ctx, cancel := context.WithTimeout(context.Background(), g.config.CallTimeout)
	defer cancel()
	kept, _ := g.commands.Get().(*[]any)
	args := confirmScript.appendHead((*kept)[:0], &c.keys)
	epoch, count := c.seen()
	args = append(args, &epoch, &count)
	var complete []string
	for _, asked := range batch {
		key := ""
		if asked.in.EntrySize > 1 {
			key = confirmationKey(&asked.in)
		}
		if !c.confirmed.add(&asked.in, key) {
			continue
		}
		args = append(args, &asked.in.Epoch, &asked.in.EntryID)
		if key != "" {
			complete = append(complete, key)
		}
	}
	answer, err := g.call(ctx, confirmScript, args)
	clear(args)
	*kept = args
	g.commands.Put(kept)
	if err == nil && answer.text(0) == "CLOSED" {
		err = g.closed(c, answer.text(1))
	}
	if err == nil {
		crashpoint.Reach(crashpoint.GateConfirmed)
		c.saw(answer.number(1), answer.number(2))
		for _, key := range complete {
			c.confirmed.forget(key)
		}
	}
	answerConfirms(batch, answer, err)
}

func answerConfirms(batch []*confirmCall, answer reply, err error) {
	for _, asked := range batch {
		switch {
		case err != nil:
			asked.err = err
		case asked.in.Epoch != answer.number(1):
			asked.err = errEpochChanged
		}
	}
}
