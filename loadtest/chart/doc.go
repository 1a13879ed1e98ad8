// Package chart draws figures as SVG that stands by itself: no script, no font and no picture of another host, and
// colours for light and dark. The load test puts it into its page, the benchmark beside its tables.
package chart
