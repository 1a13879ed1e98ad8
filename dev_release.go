//go:build release

package main

import "github.com/spf13/cobra"

// devCommands is empty: a release is built without the embedded servers.
func devCommands() []*cobra.Command { return nil }
