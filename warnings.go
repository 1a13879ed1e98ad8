package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"firstcome/domain"
)

const (
	// warningsEvery is how often the stores are asked for warnings, warningsTimeout what one may take to answer.
	warningsEvery   = 30 * time.Second
	warningsTimeout = 5 * time.Second
	// maxWarnings of a store are kept, of maxWarningBytes at most: they travel with each heartbeat.
	maxWarnings     = 20
	maxWarningBytes = 300
)

// warner is a store that can tell under which of its settings or facts promises depend on luck.
type warner interface {
	// Warnings gives them in words for an operator, and returns soon after the context ends. A store that can't be
	// reached gives none.
	Warnings(ctx context.Context) []string
	// Ping refuses while the store can't be reached.
	Ping(ctx context.Context) error
}

// watchedStore is a store with the name that operators know it by.
type watchedStore struct {
	name  string
	store warner
}

// warningWatch asks the stores for their warnings and keeps what they said last. One look is under way at a time.
type warningWatch struct {
	stores []watchedStore
	logger *slog.Logger
	counts *prometheus.GaugeVec

	mu    sync.Mutex
	found []domain.StoreWarning
}

func newWarningWatch(stores []watchedStore, tools instruments) (*warningWatch, error) {
	w := &warningWatch{stores: stores, logger: tools.logger, counts: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "firstcome_store_warnings",
		Help: "Settings or facts of a store under which promises depend on luck; the log and /readyz say which.",
	}, []string{"store"})}
	for _, watched := range stores {
		w.counts.WithLabelValues(watched.name)
	}
	if err := tools.registry.Register(w.counts); err != nil {
		return nil, errors.Join(errors.New("the metric of the stores' warnings could not be registered"), err)
	}
	return w, nil
}

// run looks at once and then every warningsEvery, until the context ends.
func (w *warningWatch) run(ctx context.Context) {
	ticker := time.NewTicker(warningsEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		w.lookOnce(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// current gives what the stores said last, by store and in each store's own order.
func (w *warningWatch) current() []domain.StoreWarning {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.found)
}

// lookOnce asks each store and logs what has changed since the last look.
func (w *warningWatch) lookOnce(ctx context.Context) {
	before := w.current()
	var found []domain.StoreWarning
	for _, watched := range w.stores {
		said := w.ask(ctx, watched, before)
		w.counts.WithLabelValues(watched.name).Set(float64(len(said)))
		found = append(found, said...)
	}
	if ctx.Err() != nil {
		return // the process ends, and what was cut short says nothing
	}
	w.mu.Lock()
	w.found = found
	w.mu.Unlock()
	w.logChanges(before, found)
}

// ask gives the warnings of one store. While it can't be reached those from before stay: it has put nothing right.
func (w *warningWatch) ask(ctx context.Context, watched watchedStore, before []domain.StoreWarning) []domain.StoreWarning {
	ctx, cancel := context.WithTimeout(ctx, warningsTimeout)
	defer cancel()
	if said := watched.store.Warnings(ctx); len(said) > 0 {
		return boundedWarnings(watched.name, said)
	}
	kept := slices.DeleteFunc(slices.Clone(before), func(b domain.StoreWarning) bool { return b.Store != watched.name })
	if len(kept) > 0 && watched.store.Ping(ctx) != nil {
		return kept
	}
	return nil
}

func boundedWarnings(store string, said []string) []domain.StoreWarning {
	said = said[:min(len(said), maxWarnings)]
	warnings := make([]domain.StoreWarning, len(said))
	for i, text := range said {
		cut := min(len(text), maxWarningBytes)
		for cut > 0 && cut < len(text) && !utf8.RuneStart(text[cut]) {
			cut--
		}
		warnings[i] = domain.StoreWarning{Store: store, Text: strings.ToValidUTF8(text[:cut], "?")}
	}
	return warnings
}

func (w *warningWatch) logChanges(before, after []domain.StoreWarning) {
	for _, warning := range after {
		if !slices.Contains(before, warning) {
			w.logger.Warn("PROMISES DEPEND ON LUCK HERE", "store", warning.Store, "warning", warning.Text)
		}
	}
	for _, warning := range before {
		if !slices.Contains(after, warning) {
			w.logger.Info("a warning no longer holds", "store", warning.Store, "warning", warning.Text)
		}
	}
}
