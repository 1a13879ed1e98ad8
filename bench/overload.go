package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// overloaded is winning with many more applicants at a time than the program can serve at once. wrk's closed loop keeps
// each connection busy, so there are never more applications under way than connections.
const overloaded = "overload"

// overloadConnections is near the most that a process of firstcome takes.
const overloadConnections = 8000

// measureOverload measures winning at the usual number of connections and at eight times as many, and how soon a lone
// applicant is answered as before when the crowd has gone.
func (r *round) measureOverload(ctx context.Context) error {
	s := scenario{overloaded, apiProcess, fillCampaign, false, "accepted"}
	usual, err := r.measureScenario(ctx, s, 1000)
	if err != nil {
		return err
	}
	r.keep(usual)
	alone, err := r.askAlone(ctx, 20)
	if err != nil {
		return err
	}
	crowd, err := r.measureScenario(ctx, s, overloadConnections)
	if err != nil {
		return err
	}
	began := time.Now()
	err = eventually(ctx, startPatience, "a lone applicant is answered as before", func(ctx context.Context) error {
		took, err := r.askAlone(ctx, 1)
		if err == nil && took > 3*alone {
			err = fmt.Errorf("it took %s, and %s before", took, alone)
		}
		return err
	})
	crowd.More = map[string]float64{"recovery_ms": float64(time.Since(began)) / float64(time.Millisecond)}
	r.keep(crowd)
	return err
}

// askAlone lets some users win one after the other, and gives the median of their waits.
func (r *round) askAlone(ctx context.Context, users int) (time.Duration, error) {
	first := r.users()
	waits := make([]time.Duration, users)
	for i := range waits {
		began := time.Now()
		given, err := r.operator.apply(ctx, fillCampaign, first+int64(i))
		if err != nil {
			return 0, err
		}
		if waits[i] = time.Since(began); given.Status != http.StatusAccepted {
			r.perhaps[fillCampaign]++
			return 0, fmt.Errorf("status %d: %s", given.Status, given.Body)
		}
		r.promised[fillCampaign]++
	}
	slices.Sort(waits)
	return waits[users/2], nil
}
