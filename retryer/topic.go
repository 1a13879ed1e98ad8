package retryer

import (
	"context"
	"sync"
	"time"

	"firstcome/domain"
)

// searchAgainAfter is how long after a first search for lost winners the second one is: who was being acknowledged when
// the records went is not lost at the first look, but may be at the second.
const searchAgainAfter = 20 * time.Second

// topicWatch is what the topic job remembers between its runs.
type topicWatch struct {
	mu sync.Mutex
	// searched is when the first search for this identity ended; zero when none is due.
	searched time.Time
	identity string
	pace     pacing
	// due says that this process saw records go, which the identity does not show. A loss is told once, so it is kept
	// until a search for it has ended, whatever fails meanwhile.
	due bool
}

// topicOnce puts winners back whose records are gone from the topic. Nobody has to ask for it:
//
//  1. Ask what the topic is now, and keep in mind what was seen to go, before anything can fail. If the topic is what the
//     ledger noted last, and nothing was seen to go, nothing is to do.
//  2. Compare every campaign and mend (auditAll), so that those are put back that only the gate knows; once more
//     after a while. A crash leaves the old identity in the ledger, and the next run begins again.
//  3. Note the identity.
func (r *Retryer) topicOnce(ctx context.Context) error {
	state, err := r.ports.Topic.Watcher.TopicState(ctx)
	if err != nil {
		return err
	}
	r.topic.see(state.Losses)
	noted, err := r.ports.Topic.Settings.Setting(ctx, domain.SettingTopic)
	if err != nil {
		return err
	}
	if noted == "" {
		return r.noteTopic(ctx, state.Identity)
	}
	if now := time.Now(); !r.topic.mustSearch(state.Identity, noted, now) || !r.topic.pace.isDue(now) {
		return nil
	}
	r.logger.Error("RECORDS MAY BE LOST: the topic is not what it was; winners that only the gate knows are put back",
		"was", noted, "is", state.Identity, "seen", state.Losses)
	if err := r.compareAll(ctx, &r.topic.pace); err != nil {
		return err
	}
	if !r.topic.searchedNow(state.Identity, time.Now()) {
		return nil
	}
	return r.noteTopic(ctx, state.Identity)
}

// see keeps in mind that records were seen to go; a search that has ended before does not count for them.
func (w *topicWatch) see(losses []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(losses) > 0 {
		w.due, w.searched = true, time.Time{}
	}
}

// mustSearch says whether lost winners are to be looked for now.
func (w *topicWatch) mustSearch(identity, noted string, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if identity == noted && !w.due {
		return false
	}
	return w.identity != identity || w.searched.IsZero() || now.Sub(w.searched) >= searchAgainAfter
}

// searchedNow notes the end of a search, and says whether it was the last one for this identity.
func (w *topicWatch) searchedNow(identity string, now time.Time) (last bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.identity == identity && !w.searched.IsZero() {
		w.searched, w.due = time.Time{}, false
		return true
	}
	w.identity, w.searched = identity, now
	return false
}

func (r *Retryer) noteTopic(ctx context.Context, identity string) error {
	return r.ports.Topic.Settings.SetSetting(ctx, domain.SettingTopic, identity, actorRetryer)
}

// actorRetryer stands for the program where the ledger notes who did something.
const actorRetryer = "retryer"
