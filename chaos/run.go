package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"firstcome/domain"
)

func (w *world) problem(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.timeline.add("DIFFERENCE: %s", text)
	w.record.change(func(*record) { w.differences = append(w.differences, text) })
}

// run carries out the plan of a seed. An error means that the suite itself could not go on.
func (s *supervisor) run(ctx context.Context, seed uint64, length time.Duration, out io.Writer) (report, error) {
	r, err := s.runPlan(ctx, fmt.Sprintf("seed_%d", seed), newPlan(seed, length, kindsOf(s.topology.faults)), out)
	r.Seed = seed
	return r, err
}

// runPlan carries out a plan and judges it. A plan that goes on for longer than longestRun is broken off.
func (s *supervisor) runPlan(ctx context.Context, name string, plan []round, out io.Writer) (report, error) {
	interrupted := ctx
	ctx, cancel := context.WithTimeout(ctx, longestRun)
	defer cancel()
	began := time.Now()
	w, err := s.newWorld(ctx, fmt.Sprintf("%s_%d", name, began.UnixMilli()), out)
	defer w.close()
	if err != nil {
		return report{}, err
	}
	w.timeline.add("%s: %d rounds", w.name, len(plan))
	w.load.start(ctx)
	err = w.carryOut(ctx, plan)
	w.load.stop()
	w.faultsTook = w.timeline.now()
	if err == nil {
		err = w.finish(ctx)
	}
	if interrupted.Err() != nil {
		return report{}, errors.Join(interrupted.Err(), os.RemoveAll(w.folder))
	}
	void := ""
	if err != nil {
		void = w.void(interrupted)
	}
	if void != "" {
		w.timeline.add("%s: %v", void, err)
		w.servers.copyLogs(w.folder)
		r := w.report(time.Since(began))
		r.Void, r.Differences = void, nil
		return r, errors.Join(w.record.write(filepath.Join(w.folder, "answers.txt")), w.servers.renewDatabase(interrupted))
	}
	if err != nil {
		w.problem("%v", err)
	}
	for _, problem := range w.stop() {
		w.problem("%s", problem)
	}
	if len(w.differences) > 0 {
		w.servers.copyLogs(w.folder)
	}
	return w.report(time.Since(began)), w.record.write(filepath.Join(w.folder, "answers.txt"))
}

// longestRun bounds one run, whatever hangs.
const longestRun = 30 * time.Minute

func (w *world) report(took time.Duration) report {
	r := report{
		World: w.topology.name, Commit: w.commit, Began: w.timeline.began.UTC(), Faults: seconds(w.faultsTook), Took: seconds(took),
		Struck: w.struck, Missed: w.missed, Repairs: w.repairs, Rows: w.rows, Ordered: w.ordered,
		Differences: w.differences, Folder: w.folder, Answers: map[outcome]int{},
	}
	for _, a := range w.record.answers {
		r.Answers[a.outcome]++
	}
	return r
}

// carryOut goes through the rounds. It ends early when the system does not settle.
func (w *world) carryOut(ctx context.Context, rounds []round) error {
	for i, r := range rounds {
		if r.Settle {
			w.load.stop()
			if err := w.settle(ctx); err != nil {
				return err
			}
			w.load.start(ctx)
		}
		w.timeline.add("round %d of %d", i+1, len(rounds))
		if i%2 == 0 {
			w.restock(ctx)
		}
		var steps sync.WaitGroup
		for _, s := range r.Steps {
			steps.Go(func() { w.carryOutStep(ctx, s) })
		}
		steps.Wait()
		if !pause(ctx, restOfRound) {
			return ctx.Err()
		}
	}
	return nil
}

// restock raises the quota, so that half of the rounds begin with something to win and the others may be sold out.
func (w *world) restock(ctx context.Context) {
	const more = 600
	view, err := w.operator.campaign(ctx)
	if err == nil {
		err = w.operator.setQuota(ctx, max(view.Quota, view.WantedQuota)+more)
	}
	if err != nil {
		w.timeline.add("the quota could not be raised: %v", err)
	}
}

// carryOutStep strikes, waits and heals. What can't be healed is a fault of the suite, and ends the run by the
// settlement that never comes.
func (w *world) carryOutStep(ctx context.Context, s step) {
	pause(ctx, s.At)
	w.timeline.add("strike  %s", s)
	heal, err := w.topology.faultNamed(s.Fault).strike(ctx, w, s)
	w.record.change(func(*record) {
		if err == nil {
			w.struck[s.Fault]++
		} else {
			w.missed[s.Fault]++
		}
	})
	if err != nil {
		w.timeline.add("missed  %s %s: %v", s.Fault, s.Target, err)
	}
	if heal == nil {
		return
	}
	if err == nil {
		pause(ctx, s.For)
	}
	if err := heal(context.WithoutCancel(ctx)); err != nil {
		w.timeline.add("healing %s %s: %v", s.Fault, s.Target, err)
		return
	}
	w.timeline.add("healed  %s %s", s.Fault, s.Target)
}

// finish settles, sells the rest, settles again and judges.
func (w *world) finish(ctx context.Context) error {
	if err := w.settle(ctx); err != nil {
		return err
	}
	if err := w.retryDead(ctx); err != nil {
		return err
	}
	if err := w.makeRoom(ctx); err != nil {
		return err
	}
	if err := w.load.sellOut(ctx); err != nil {
		return err
	}
	if err := w.settle(ctx); err != nil {
		return err
	}
	if err := whileItMoves(ctx, settlePatience, "nobody waits for a slot", w.nobodyIsOwed); err != nil {
		return err
	}
	found, err := w.readFacts(ctx)
	if err != nil {
		return err
	}
	found.soldOut = true
	w.rows = len(found.rows)
	verdict := judge(w.record, found)
	for _, difference := range verdict.differences {
		w.problem("%s", difference)
	}
	w.ordered = verdict.ordered
	return nil
}

// makeRoom ends a wish for a lower quota that the holders don't fit: until they do, slots would stay unused. And it raises
// the quota for those who wait for a slot: they must get theirs before any newcomer.
func (w *world) makeRoom(ctx context.Context) error {
	view, err := w.operator.campaign(ctx)
	if err != nil || view.Gate == nil || (view.WantedQuota == 0 && view.Gate.Owed == 0) {
		return err
	}
	w.timeline.add("the quota is %d, a lower one is wished for: %d; %d users wait for a slot", view.Quota, view.WantedQuota, view.Gate.Owed)
	if err := w.operator.setQuota(ctx, view.Quota+view.Gate.Owed); err != nil {
		return err
	}
	return eventually(ctx, time.Minute, "newcomers are admitted again", w.newcomersComeIn)
}

// newcomersComeIn asks as a newcomer where something is left for them: who was sold out says so for a moment longer.
func (w *world) newcomersComeIn(ctx context.Context) error {
	view, err := w.operator.campaign(ctx)
	if err == nil {
		err = view.gateFollows()
	}
	if err != nil || view.Gate.Remaining <= 0 {
		return err
	}
	if got := w.load.apply(ctx, w.load.who(false), apiNames[0]); got.outcome == soldOut {
		return fmt.Errorf("a newcomer was told %q, and %d slots are left", got.text, view.Gate.Remaining)
	}
	return nil
}

// nobodyIsOwed says whether everybody who waited for a slot has one, now that the quota was raised for them.
func (w *world) nobodyIsOwed(ctx context.Context) error {
	view, err := w.operator.campaign(ctx)
	if err == nil && (view.Gate == nil || view.Gate.Owed != 0) {
		err = fmt.Errorf("users wait for a slot: %+v", view.Gate)
	}
	return err
}

// retryDead lets the retryers try every dead fail event of a user once more, now that nothing is broken.
func (w *world) retryDead(ctx context.Context) error {
	events, err := w.readEvents(ctx)
	if err != nil {
		return err
	}
	retried := 0
	for _, event := range events {
		if event.status == domain.FailStatusDead && !event.resolved {
			if err := w.operator.retryEvent(ctx, event.id); err != nil {
				return err
			}
			retried++
		}
	}
	w.timeline.add("%d dead fail events are retried", retried)
	return whileItMoves(ctx, settlePatience, "the retried events are done", func(ctx context.Context) error {
		view, err := w.operator.campaign(ctx)
		if err == nil {
			err = view.gateAtRest()
		}
		if err == nil {
			_, err = w.nothingFails(ctx, view)
		}
		return err
	})
}
