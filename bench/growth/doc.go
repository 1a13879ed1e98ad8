// Command growth measures how cost grows: with the number of campaigns, of winners, of applicants who came too late,
// and of api processes. `make growth` starts servers of their own and runs it; it writes its tables into docs/growth.md.
//
// Each section has a file of its own (campaigns.go, winners.go, applicants.go, processes.go), empties Redis, and works on
// a database and a topic of its own (lab.go). Each ends within its limit. One run measures each figure once, or as the
// median of what its table says, so figures are told with the machine's load in mind: look at how they grow.
package main
