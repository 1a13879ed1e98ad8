// Package embedded holds servers that run inside this process, so that `firstcome dev` and the tests need nothing
// installed. They are reached over loopback by the same clients as real ones. Builds with the tag `release` leave
// them out.
package embedded
