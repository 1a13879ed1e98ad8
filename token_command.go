package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"firstcome/api"
	"firstcome/domain"
)

func tokenCommand() *cobra.Command {
	return group("token", "Make operators' tokens", tokenCreateCommand())
}

// tokenCreateCommand makes up a token. It is printed once and kept nowhere; the configuration gets its hash.
func tokenCreateCommand() *cobra.Command {
	var role string
	command := &cobra.Command{
		Use: "create NAME", Short: "Make up a token for an operator, and print the line for FIRSTCOME_ADMIN_TOKENS",
		RunE: func(command *cobra.Command, arguments []string) error {
			if len(arguments) != 1 {
				return usageError{"token create needs the operator's name"}
			}
			token, line, err := api.NewOperatorToken(arguments[0], domain.Role(role))
			if err != nil {
				return usageError{err.Error()}
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), `token for %s, shown only now: %s
add to %sADMIN_TOKENS (separated by commas): %s
`, arguments[0], token, envPrefix, line)
			return err
		},
	}
	command.Flags().StringVar(&role, "role", string(domain.RoleViewer), "viewer (looks) or operator (changes)")
	return command
}
