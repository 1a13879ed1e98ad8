// Package storetest holds one conformance suite for each interface between the roles and the stores. Every
// implementation is held to the same suite, on embedded servers and on real ones.
package storetest
