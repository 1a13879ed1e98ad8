// The load of `firstcome loadtest` for those who use k6: users come at a rate that rises first, and some of them all at
// once; each applies once. Compare with the coupons afterwards: `firstcome audit CAMPAIGN`.
//
//   k6 run -e CAMPAIGN=welcome -e RATE=5000 -e RAMP=10 -e SECONDS=30 -e BURST_AT=15 -e BURST_USERS=1000 loadtest/k6/apply.js
//
// URL is http://127.0.0.1:8080 unless stated. Times are in seconds, the rate is users a second.
import http from 'k6/http';
import { check } from 'k6';
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';

const number = (name, otherwise) => Number(__ENV[name] || otherwise);
const url = `${__ENV.URL || 'http://127.0.0.1:8080'}/v1/campaigns/${__ENV.CAMPAIGN || 'welcome'}/apply`;
const rate = number('RATE', 1000);
const ramp = number('RAMP', 5);
const steady = number('SECONDS', 30);
const burstAt = number('BURST_AT', 0);
const burstUsers = number('BURST_USERS', 0);
const firstUser = number('FIRST_USER_ID', 1);

// The users of the burst follow those of the stream, so that nobody applies twice.
const streamUsers = Math.ceil(rate * (ramp / 2 + steady)) + 1;

const scenarios = {
  stream: {
    executor: 'ramping-arrival-rate',
    startRate: 0,
    timeUnit: '1s',
    preAllocatedVUs: 1000,
    maxVUs: 10000,
    stages: [
      { target: rate, duration: `${ramp}s` },
      { target: rate, duration: `${steady}s` },
    ],
  },
};
if (burstUsers > 0) {
  scenarios.burst = {
    executor: 'per-vu-iterations',
    vus: burstUsers,
    iterations: 1,
    startTime: `${burstAt}s`,
    maxDuration: '1m',
  };
}

export const options = { scenarios, summaryTrendStats: ['med', 'p(90)', 'p(99)', 'p(99.9)', 'max'] };

const answers = new Counter('answers');

// A refusal and a request to ask again are answers, not failures.
http.setResponseCallback(http.expectedStatuses(200, 202, 409, 410, 503));

export default function apply() {
  const index = exec.scenario.iterationInTest;
  const user = firstUser + index + (exec.scenario.name === 'burst' ? streamUsers : 0);
  const response = http.post(url, JSON.stringify({ user_id: String(user) }), {
    headers: { 'Content-Type': 'application/json' },
    tags: { name: 'apply' },
    timeout: '10s',
  });
  answers.add(1, { status: String(response.status) });
  check(response, {
    'a winner hears his own name': (r) => (r.status !== 200 && r.status !== 202) || r.json('user_id') === String(user),
    'everybody else hears why': (r) => r.status < 400 || String(r.json('type')).includes(':'),
  });
}
