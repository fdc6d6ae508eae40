/* SPDX-License-Identifier: MIT
 * doctor-systemd.c - whether systemd removes a user's objects at logout
 *
 * logind does when a normal user's last session ends, unless RemoveIPC=no, or the user lingers. Its settings are those of
 * logind.conf, then of the files in logind.conf.d in the order of their names; of files with one name that in /etc counts, then
 * /run, then /usr (logind.conf(5)). What is built in is shown, commented out, in the file itself.
 */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "doctor.h"
#include "error.h"

#define NORMAL_UID 1000 /* from here on; systemd spares those below */
#define NOBODY_UID 65534

static const char *const folders[] = { "/etc/systemd", "/run/systemd", "/usr/local/lib/systemd",
				       "/usr/lib/systemd", "/lib/systemd" };
#define FOLDERS (sizeof(folders) / sizeof(folders[0]))

static FILE *open_below(const struct doctor *doctor, const char *folder, const char *name)
{
	char path[4096];

	if ((size_t)snprintf(path, sizeof(path), "%s%s/%s", doctor->root, folder, name) >=
	    sizeof(path))
		return NULL;
	return fopen(path, "re");
}

/* systemd's words for yes and no; *VALUE stays as it is for others, as logind ignores them. */
static void read_boolean(const char *text, bool *value)
{
	static const char *const words[2][6] = { { "no", "n", "false", "f", "off", "0" },
						 { "yes", "y", "true", "t", "on", "1" } };

	for (int yes = 0; yes < 2; yes++)
		for (int i = 0; i < 6; i++)
			if (strcasecmp(text, words[yes][i]) == 0)
				*value = yes;
}

/* Cut white space off both ends. */
static char *trim(char *text)
{
	size_t length;

	text += strspn(text, " \t");
	length = strlen(text);
	while (length > 0 && strchr(" \t\r\n", text[length - 1]))
		text[--length] = '\0';
	return text;
}

/* Let the file say what RemoveIPC is; with DEFAULTS so do its comments. */
static void read_settings(FILE *file, bool defaults, bool *remove_ipc)
{
	char *line = NULL;
	size_t capacity = 0;
	bool login = false, set = false;

	while (getline(&line, &capacity, file) > 0) {
		char *text = trim(line);
		bool comment = *text == '#' || *text == ';';

		if (*text == '[')
			login = strcmp(text, "[Login]") == 0;
		if (comment)
			text = trim(text + 1);
		if (!login || strncmp(text, "RemoveIPC", 9) != 0 || (comment && (!defaults || set)))
			continue;
		text = trim(text + 9);
		if (*text == '=')
			read_boolean(trim(text + 1), remove_ipc);
		set |= !comment;
	}
	free(line);
	fclose(file);
}

static int is_conf(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return length > 5 && strcmp(entry->d_name + length - 5, ".conf") == 0;
}

/* Whether a file called NAME is in a folder that comes before number FOLDER. */
static bool is_overridden(const struct doctor *doctor, const char *name, size_t folder)
{
	char path[4096];

	for (size_t i = 0; i < folder; i++) {
		snprintf(path, sizeof(path), "%s%s/logind.conf.d/%s", doctor->root, folders[i],
			 name);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

struct drop_in {
	char *name;
	size_t folder;
};

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct drop_in *)a)->name, ((const struct drop_in *)b)->name);
}

struct drop_ins {
	struct drop_in *items;
	size_t count;
};

/* What there is no memory for is left out, as a file that cannot be read is. */
static void add_drop_in(struct drop_ins *all, const char *name, size_t folder)
{
	struct drop_in *items = realloc(all->items, (all->count + 1) * sizeof(*items));

	if (!items)
		return;
	all->items = items;
	items[all->count].folder = folder;
	items[all->count].name = strdup(name);
	all->count += items[all->count].name != NULL;
}

/* All that count, in the order of their names. */
static void list_drop_ins(const struct doctor *doctor, struct drop_ins *all)
{
	for (size_t folder = 0; folder < FOLDERS; folder++) {
		char path[4096];
		struct dirent **entries = NULL;
		int found;

		snprintf(path, sizeof(path), "%s%s/logind.conf.d", doctor->root, folders[folder]);
		found = scandir(path, &entries, is_conf, NULL);
		for (int i = 0; i < found; i++) {
			if (!is_overridden(doctor, entries[i]->d_name, folder))
				add_drop_in(all, entries[i]->d_name, folder);
			free(entries[i]);
		}
		free(entries);
	}
	if (all->count)
		qsort(all->items, all->count, sizeof(*all->items), compare);
}

static bool removes_ipc(const struct doctor *doctor)
{
	struct drop_ins all = { NULL, 0 };
	bool remove_ipc = true;
	FILE *file = NULL;

	for (size_t i = 0; i < FOLDERS && !file; i++)
		file = open_below(doctor, folders[i], "logind.conf");
	if (file)
		read_settings(file, true, &remove_ipc);
	list_drop_ins(doctor, &all);
	for (size_t i = 0; i < all.count; i++) {
		char name[300];

		snprintf(name, sizeof(name), "logind.conf.d/%s", all.items[i].name);
		file = open_below(doctor, folders[all.items[i].folder], name);
		if (file)
			read_settings(file, false, &remove_ipc);
		free(all.items[i].name);
	}
	free(all.items);
	return remove_ipc;
}

static bool exists(const struct doctor *doctor, const char *folder, const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s%s/%s", doctor->root, folder, name);
	return access(path, F_OK) == 0;
}

static void examine_user(struct doctor *doctor, uid_t uid)
{
	const struct passwd *entry = getpwuid(uid);
	char name[DOCTOR_NAME], word[DOCTOR_WORD], subject[DOCTOR_NAME + 8], fix[DOCTOR_TEXT];
	const char *class = getenv("XDG_SESSION_CLASS");

	if (uid < NORMAL_UID || uid == NOBODY_UID)
		return;
	if (entry)
		snprintf(name, sizeof(name), "%s", entry->pw_name);
	else
		snprintf(name, sizeof(name), "%lu", (unsigned long)uid);
	if (exists(doctor, "/var/lib/systemd/linger", name))
		return;
	snprintf(subject, sizeof(subject), "user %s", name);
	snprintf(fix, sizeof(fix), "loginctl enable-linger %s", doctor_quote(name, word));
	if (uid == geteuid() && class && strcmp(class, "background") == 0)
		doctor_find(
			doctor, subject, fix,
			"this is a cron job's session: if no other is open when it ends, systemd removes all objects of the user");
	else
		doctor_find(
			doctor, subject, fix,
			"systemd removes all objects of the user when the last session ends, a cron job's included");
}

/* The caller; and for root, who else has objects. */
enum ipcu_result doctor_systemd(struct doctor *doctor)
{
	if (!exists(doctor, "/run/systemd", "system") || !removes_ipc(doctor))
		return IPCU_OK;
	examine_user(doctor, geteuid());
	for (size_t i = 0; i < doctor->object_count && geteuid() == 0; i++) {
		size_t before = 0;

		while (before < i && doctor->objects[before].owner != doctor->objects[i].owner)
			before++;
		if (before == i && doctor->objects[i].owner != geteuid())
			examine_user(doctor, doctor->objects[i].owner);
	}
	return IPCU_OK;
}
