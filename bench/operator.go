package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// operatorToken protects nothing but this run.
const operatorToken = "bench"

// operator makes campaigns and reads what the processes report.
type operator struct {
	address string
	client  *http.Client
}

func newOperator(address string) *operator {
	return &operator{address: address, client: &http.Client{Timeout: 10 * time.Second}}
}

// maxReply bounds an answer that is read.
const maxReply = 4 << 20

func (o *operator) call(ctx context.Context, method, path string, body any) (answer, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return answer{}, err
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+o.address+path, bytes.NewReader(encoded))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+operatorToken)
	response, err := o.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxReply))
	response.Header.Del("Date") // every server sets its own
	return answer{Status: response.StatusCode, Header: response.Header, Body: content}, err
}

func (o *operator) create(ctx context.Context, code string, quota int64) error {
	now := time.Now().UTC()
	given, err := o.call(ctx, http.MethodPost, "/v1/admin/campaigns", map[string]any{
		"code": code, "name": "Benchmark", "quota": quota,
		"starts_at": now.Add(-time.Minute).Format(time.RFC3339), "ends_at": now.Add(24 * time.Hour).Format(time.RFC3339),
	})
	if err == nil && given.Status != http.StatusCreated {
		err = fmt.Errorf("status %d: %s", given.Status, given.Body)
	}
	return err
}

// throttle sets the rows a second of all consumers, 0 for no limit. A consumer that is started later keeps to it.
func (o *operator) throttle(ctx context.Context, rowsPerSecond int) error {
	given, err := o.call(ctx, http.MethodPatch, "/v1/admin/pipeline", map[string]any{"rows_per_second": rowsPerSecond})
	if err == nil && given.Status != http.StatusOK {
		err = fmt.Errorf("setting the throttle: status %d: %s", given.Status, given.Body)
	}
	return err
}

func (o *operator) gateIsOpen(ctx context.Context, code string) error {
	given, err := o.call(ctx, http.MethodGet, "/v1/campaigns/"+code, nil)
	if err != nil {
		return err
	}
	var view struct{ Gate string }
	if err := json.Unmarshal(given.Body, &view); err != nil {
		return err
	}
	if view.Gate != "open" {
		return fmt.Errorf("it is %q", view.Gate)
	}
	return nil
}

// apply sends one application, and gives the whole answer.
func (o *operator) apply(ctx context.Context, code string, user int64) (answer, error) {
	return o.call(ctx, http.MethodPost, "/v1/campaigns/"+code+"/apply", map[string]any{"user_id": user})
}

// counters reads the counters of one name from a process's metrics, by the value of one label ("" for none).
func counters(ctx context.Context, p *process, name, label string) (map[string]float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/metrics", http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(response.Body, maxReply))
	if err != nil {
		return nil, fmt.Errorf("reading the metrics of %s: %w", p.name, err)
	}
	values := map[string]float64{}
	for _, metric := range families[name].GetMetric() {
		value := ""
		for _, pair := range metric.GetLabel() {
			if pair.GetName() == label {
				value = pair.GetValue()
			}
		}
		values[value] += metric.GetCounter().GetValue()
	}
	return values, nil
}
