// Package api is the HTTP side of firstcome: applicants apply and ask what became of it, operators look after
// campaigns and failed records. It reaches the stores through the interfaces of package domain only.
//
// The order of the steps of one application, and what a crash leaves behind at each, stands in application.go.
// How an error becomes an answer stands in problem.go, in one table.
package api
