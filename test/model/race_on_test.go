//go:build race

package model

// raceDetector is true in a build with it.
const raceDetector = true
