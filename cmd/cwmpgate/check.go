package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newCheck() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "check --config FILE", Short: "Check a config file", Args: cobra.NoArgs,
		Long: `Check reads a config file as run would and reports every mistake at once, each
as file:line:column. It opens nothing and changes nothing.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is right: %s, %s\n", file, plural(len(c.Listeners), "listener"), plural(len(c.Tenants), "tenant"))
			return err
		},
	}
	configFlag(cmd, &file)
	return cmd
}
