/* SPDX-License-Identifier: MIT
 * cli-verbs.c - a command whose first word is a verb
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli-output.h"
#include "cli-verbs.h"

/* Verbs stand in --help as argp's "documentation options" do: with the options, without a dash. */
static struct argp_option *help_table(const struct cli_verb *verbs)
{
	struct argp_option *table;
	size_t count = 0;

	while (verbs[count].name)
		count++;
	table = calloc(count + 2, sizeof(*table));
	if (!table)
		return NULL;
	table[0].doc = "Verbs, each with its own --help:";
	table[0].group = 1;
	for (size_t i = 0; i < count; i++) {
		table[i + 1].name = verbs[i].name;
		table[i + 1].flags = OPTION_DOC | OPTION_NO_USAGE;
		table[i + 1].doc = verbs[i].doc;
		table[i + 1].group = 1;
	}
	return table;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct cli_options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		cli_share(state, options);
		return 0;
	case ARGP_KEY_ARG:
		cli_usage(state, "options must follow the verb: %s %s %s...", options->command, arg,
			  state->argv[1]);
		return EINVAL;
	case ARGP_KEY_END:
		if (options->finished)
			return 0;
		argp_error(state, "which verb? --help lists them");
		return EINVAL;
	}
	return ARGP_ERR_UNKNOWN;
}

/* No verb, so there are only --help and its like, or a mistake. */
static int without_verb(const char *command, const struct cli_verb *verbs, const char *doc,
			int argc, char **argv)
{
	static const struct argp_child children[] = { { &cli_standard, 0, NULL, 0 }, { 0 } };
	struct cli_options options = { 0 };
	struct argp argp = {
		.parser = parse, .args_doc = "VERB ...", .children = children, .doc = doc
	};
	struct argp_option *table = help_table(verbs);
	int status;

	if (!table) {
		fprintf(stderr, "%s: not enough memory\n", command);
		return IPCU_LIMIT;
	}
	argp.options = table;
	status = cli_parse(&argp, command, argc, argv, &options, &options);
	free(table);
	return status;
}

int cli_verbs(const char *command, const struct cli_verb *verbs, const char *doc, int argc,
	      char **argv)
{
	if (argc < 2 || argv[1][0] == '-')
		return without_verb(command, verbs, doc, argc, argv);
	for (const struct cli_verb *verb = verbs; verb->name; verb++)
		if (strcmp(verb->name, argv[1]) == 0)
			return verb->run(argc - 1, argv + 1);
	fprintf(stderr, "%s: '", command);
	cli_print_safe(stderr, argv[1]);
	fputs("' is not a verb:", stderr);
	for (const struct cli_verb *verb = verbs; verb->name; verb++)
		fprintf(stderr, " %s", verb->name);
	fprintf(stderr, "\nTry `%s --help' for more information.\n", command);
	return IPCU_USAGE;
}

int cli_parse_verb(const struct argp *argp, const char *command, int argc, char **argv,
		   struct cli_options *options, void *input)
{
	char name[64];

	snprintf(name, sizeof(name), "%s %s", command, argv[0]);
	return cli_parse_as(argp, name, command, argc, argv, options, input);
}
