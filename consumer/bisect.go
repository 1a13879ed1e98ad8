package consumer

import "firstcome/domain"

// verdict is what became of one winner: a result, or the refusal of its very row.
type verdict struct {
	result  domain.StoreResult
	refused error
}

// bisect stores winners together; when a row of them is refused it tries each half by itself, until what is refused
// is a single row. One bad row among n costs about 2·log2(n) calls, n bad rows 2n − 1. Any other error ends it, and
// what was stored until then stays stored.
func bisect(
	winners []domain.Winner, store func([]domain.Winner) ([]domain.StoreResult, error),
) ([]verdict, error) {
	results, err := store(winners)
	if err == nil {
		return verdictsOf(winners, results)
	}
	if domain.CodeOf(err) != domain.CodeRowRefused {
		return nil, err
	}
	if len(winners) == 1 {
		return []verdict{{refused: err}}, nil
	}
	middle := len(winners) / 2
	left, err := bisect(winners[:middle], store)
	if err != nil {
		return nil, err
	}
	right, err := bisect(winners[middle:], store)
	if err != nil {
		return nil, err
	}
	return append(left, right...), nil
}

func verdictsOf(winners []domain.Winner, results []domain.StoreResult) ([]verdict, error) {
	if len(results) != len(winners) {
		return nil, domain.Errorf(domain.CodeInternal,
			"the coupon store gave %d results for %d winners", len(results), len(winners))
	}
	verdicts := make([]verdict, len(results))
	for i, result := range results {
		verdicts[i].result = result
	}
	return verdicts, nil
}
