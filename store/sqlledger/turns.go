package sqlledger

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"gorm.io/gorm"

	"firstcome/domain"
)

// claimTurns is where the campaigns' turns at the claims of this process have got to.
type claimTurns struct {
	mu sync.Mutex
	// after is the code of the campaign whose turn was last.
	after string
}

// moment is when something is claimed: what is due by now, or was planned before the clock was set back.
type moment struct {
	now         time.Time
	longestWait time.Duration
}

func (m moment) due(query *gorm.DB) *gorm.DB {
	return query.Where("status = ? AND (next_attempt_at <= ? OR next_attempt_at > ?)",
		domain.FailStatusFail, m.now, m.now.Add(m.longestWait))
}

// dueIDs gives the IDs of up to limit due events. If more are due than that, half of them are of campaigns in turn, at
// least one of each that has one, and the rest those that have been due longest: one campaign's backlog keeps no other's
// events waiting, although the turns may be long. It reads at most twice limit events, and half of it campaigns.
func (l *Ledger) dueIDs(tx *gorm.DB, at moment, limit int) ([]int64, error) {
	var longest, turns []int64
	err := at.due(tx.Model(&failEventRow{})).Order("next_attempt_at, id").Limit(limit).Pluck("id", &longest).Error
	if err != nil || len(longest) < limit {
		return longest, err
	}
	half := (limit + 1) / 2
	codes, err := l.nextCampaigns(tx, half)
	if err != nil || len(codes) == 0 {
		return longest, err
	}
	parts, events := make([]string, len(codes)), make([]any, len(codes))
	for i, code := range codes {
		parts[i] = fmt.Sprintf("SELECT id FROM (?) AS turn_%d", i)
		events[i] = at.due(l.byTurn(tx)).Where("campaign_code = ?", code).
			Select("id").Order("next_attempt_at, id").Limit(half / len(codes))
	}
	if err := tx.Raw(strings.Join(parts, " UNION ALL "), events...).Scan(&turns).Error; err != nil {
		return nil, err
	}
	for _, id := range longest {
		if len(turns) < limit && !slices.Contains(turns, id) {
			turns = append(turns, id)
		}
	}
	return turns, nil
}

// nextCampaigns gives the codes of up to limit campaigns that have FAIL events, each once, from where the last call
// stopped. An event that names no campaign has no turn: no attempt makes a winner of it.
func (l *Ledger) nextCampaigns(tx *gorm.DB, limit int) ([]string, error) {
	l.turns.mu.Lock()
	defer l.turns.mu.Unlock()
	var codes []string
	start, after, again := l.turns.after, l.turns.after, false
	for len(codes) < limit {
		var next []string
		err := l.byTurn(tx).Where("status = ? AND campaign_code > ?", domain.FailStatusFail, after).
			Order("campaign_code").Limit(1).Pluck("campaign_code", &next).Error
		switch {
		case err != nil:
			return nil, err
		case len(next) == 0 && !again:
			after, again = "", true
			continue
		case len(next) == 0 || again && next[0] > start:
			return codes, nil
		}
		codes, after = append(codes, next[0]), next[0]
		l.turns.after = after
	}
	return codes, nil
}

func (l *Ledger) byTurn(tx *gorm.DB) *gorm.DB {
	return tx.Table(l.backend.byIndex("fail_event", "fail_event_turn"))
}

// inTurns orders claimed events so that the first of each campaign comes before the second of any: who works on them may
// not get to the last.
func inTurns(rows []failEventRow) []failEventRow {
	var rounds [][]failEventRow
	seen := map[string]int{}
	for _, row := range rows {
		round := seen[row.CampaignCode]
		seen[row.CampaignCode]++
		if round == len(rounds) {
			rounds = append(rounds, nil)
		}
		rounds[round] = append(rounds[round], row)
	}
	return slices.Concat(rounds...)
}
