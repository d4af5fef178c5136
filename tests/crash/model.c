/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * model.c - from the workload's marks to what is legal (model.h).
 *
 * Knows the language of load.c; nothing of images.  No locks.
 */
#include "model.h"

#include <stdlib.h>

#include "pattern.h"

#define INODES	(1 << 16)
#define NEVER	UINT64_MAX

struct xa {
	char name[16];
	uint32_t op, len;
};

struct node {
	char type;
	uint32_t mode, nlink, touched;	/* touched: a state */
	char *target;
	struct xa xa[8];
	struct contents c;
	/* as of the fsync that runs */
	uint64_t sync_size;
};

struct dent {
	char *path;
	uint32_t id;
	struct dent *next;
};

struct op {
	uint32_t n, state;	/* state: it makes, or (fsync) it promises */
	uint64_t start, end;	/* NEVER: unknown */
	long ret;
	char verb[12], a[256], b[512], c[32];
};

struct model {
	struct op *ops;
	uint32_t count;
	struct node *nodes;
	struct dent *dents;
	uint64_t *prints;	/* by state */
	uint32_t states;
	/* the clock */
	uint32_t started, ended;	/* operations */
	uint32_t low, high;		/* states */
};

/* --- fingerprints --- */

static uint64_t hash_bytes(uint64_t h, const void *data, size_t len)
{
	const unsigned char *p = data;

	while (len--)
		h = (h ^ *p++) * 0x100000001b3ULL;
	return pattern_mix(h);
}

uint64_t model_xattr(const char *name, const void *value, size_t len)
{
	return hash_bytes(hash_bytes(7, name, strlen(name)), value, len);
}

uint64_t model_entry(const struct entry *e, char *line, size_t size)
{
	int n = snprintf(line, size, "%s %c id=%u mode=%o links=%u xattrs=%llx -> %s",
			 e->path, e->type, e->id, e->mode, e->nlink,
			 (unsigned long long)e->xattrs, e->target);

	return hash_bytes(11, line, n < (int)size ? n : (int)size - 1);
}

static uint64_t node_xattrs(const struct node *node)
{
	unsigned char value[4096];
	uint64_t sum = 0;
	uint32_t i, k;

	for (i = 0; i < 8; i++) {
		if (!node->xa[i].op)
			continue;
		for (k = 0; k < node->xa[i].len; k++)
			value[k] = pattern_mix(node->xa[i].op * 4096ULL + k);
		sum += model_xattr(node->xa[i].name, value, node->xa[i].len);
	}
	return sum;
}

static uint64_t dent_line(const struct model *m, const struct dent *d,
			  char *line, size_t size)
{
	const struct node *node = &m->nodes[d->id];
	struct entry e = {
		.path = d->path, .type = node->type, .id = d->id,
		.mode = node->type == 'l' ? 0777 : node->mode,
		.nlink = node->type == 'd' ? 0 : node->nlink,
		.target = node->target ? node->target : "",
		.xattrs = node_xattrs(node),
	};

	return model_entry(&e, line, size);
}

static uint64_t tree_print(const struct model *m)
{
	const struct dent *d;
	uint64_t sum = 0;
	char line[1024];

	for (d = m->dents; d; d = d->next)
		sum += dent_line(m, d, line, sizeof(line));
	return sum;
}

/* --- names --- */

static struct dent **find(struct model *m, const char *path)
{
	struct dent **p;

	for (p = &m->dents; *p; p = &(*p)->next)
		if (!strcmp((*p)->path, path))
			break;
	return p;
}

static uint32_t id_of(struct model *m, const char *path)
{
	struct dent *d = *find(m, path);

	return d ? d->id : 0;
}

static uint32_t parent_id(struct model *m, const char *path)
{
	char dir[256];

	snprintf(dir, sizeof(dir), "%s", path);
	if (!strrchr(dir, '/'))
		return 0;
	*strrchr(dir, '/') = 0;
	return id_of(m, dir);
}

static void add(struct model *m, const char *path, uint32_t id)
{
	struct dent *d = malloc(sizeof(*d));

	*d = (struct dent){ .path = strdup(path), .id = id, .next = m->dents };
	m->dents = d;
	m->nodes[id].nlink++;
	m->nodes[id].c.gone = UINT32_MAX;
}

static uint32_t drop(struct model *m, const char *path)
{
	struct dent **p = find(m, path), *d = *p;
	uint32_t id;

	if (!d)
		return 0;
	id = d->id;
	*p = d->next;
	if (!--m->nodes[id].nlink)
		m->nodes[id].c.gone = m->states;
	free(d->path);
	free(d);
	return id;
}

static void rename_tree(struct model *m, const char *old, const char *new)
{
	size_t n = strlen(old);
	struct dent *d;
	char path[1024];

	for (d = m->dents; d; d = d->next)
		if (!strncmp(d->path, old, n) &&
		    (d->path[n] == '/' || !d->path[n])) {
			snprintf(path, sizeof(path), "%s%s", new, d->path + n);
			free(d->path);
			d->path = strdup(path);
		}
}

static void set_xattr(struct node *node, const char *name, uint32_t op,
		      uint32_t len)
{
	struct xa *free_one = NULL, *x;

	for (x = node->xa; x < node->xa + 8; x++) {
		if (x->op && !strcmp(x->name, name))
			break;
		if (!x->op && !free_one)
			free_one = x;
	}
	if (x == node->xa + 8)
		x = free_one;
	snprintf(x->name, sizeof(x->name), "%s", name);
	x->op = op;
	x->len = len;
}

/* New objects.  Is it one of these? */
static bool apply_new(struct model *m, const struct op *o)
{
	static const struct { const char *verb; char type; uint32_t mode; } kinds[] = {
		{ "create", 'f', 0644 }, { "mkdir", 'd', 0777 },
		{ "symlink", 'l', 0777 },
	};
	uint32_t id = atoi(o->a), i;
	struct node *node = &m->nodes[id];

	for (i = 0; i < 3; i++)
		if (!strcmp(kinds[i].verb, o->verb))
			break;
	if (i == 3)
		return false;
	node->type = kinds[i].type;
	node->mode = kinds[i].mode;
	if (node->type == 'l')
		node->target = strdup(o->c[0] ? o->c : "");
	add(m, o->b, id);
	m->nodes[parent_id(m, o->b)].touched = m->states;
	node->touched = m->states;
	return true;
}

/* Changes the tree by O; false if it is not about names. */
static bool apply(struct model *m, const struct op *o)
{
	uint32_t id, dir = parent_id(m, o->a), dir2 = parent_id(m, o->b);

	if (apply_new(m, o))
		return true;
	if (!strcmp(o->verb, "link")) {
		id = id_of(m, o->a);
		add(m, o->b, id);
		dir = dir2;
	} else if (!strcmp(o->verb, "rename")) {
		id = drop(m, o->b);
		if (id)
			m->nodes[id].touched = m->states;
		id = id_of(m, o->a);
		rename_tree(m, o->a, o->b);
		m->nodes[dir2].touched = m->states;
	} else if (!strcmp(o->verb, "unlink") || !strcmp(o->verb, "rmdir")) {
		id = drop(m, o->a);
	} else if (!strcmp(o->verb, "chmod")) {
		id = dir = id_of(m, o->a);
		m->nodes[id].mode = atoi(o->b);
	} else if (!strcmp(o->verb, "xattr")) {
		id = dir = id_of(m, o->a);
		set_xattr(&m->nodes[id], o->b, o->n, atoi(o->c));
	} else if (!strcmp(o->verb, "rmxattr")) {
		id = dir = id_of(m, o->a);
		set_xattr(&m->nodes[id], o->b, 0, 0);
	} else {
		return false;
	}
	m->nodes[id].touched = m->states;
	m->nodes[dir].touched = m->states;
	return true;
}

/* --- marks --- */

static int by_begin(const void *va, const void *vb)
{
	const struct log_rec *a = *(const struct log_rec *const *)va;
	const struct log_rec *b = *(const struct log_rec *const *)vb;

	return a->begin < b->begin ? -1 : a->begin > b->begin;
}

static void parse(struct op *o, const char *s)
{
	static char long_c[512];
	int k;

	*o = (struct op){ .end = NEVER };
	long_c[0] = 0;
	k = sscanf(s, "S %u %11s %255s %255s %511s", &o->n, o->verb, o->a, o->b,
		   long_c);
	if (k < 3) {
		fprintf(stderr, "not a mark: %s\n", s);
		exit(2);
	}
	/* Only a long link's target does not fit: it is one letter, repeated. */
	snprintf(o->c, sizeof(o->c), "%.31s", long_c);
	if (!strcmp(o->verb, "symlink"))
		snprintf(o->c, sizeof(o->c), "%c*%zu", long_c[0], strlen(long_c));
}

/* All states there can be, and what each fsync promises. */
static void replay_names(struct model *m)
{
	struct op *o;

	m->prints = calloc(m->count + 2, sizeof(*m->prints));
	m->prints[0] = tree_print(m);
	for (o = m->ops; o < m->ops + m->count; o++) {
		o->state = m->states;
		if (!strcmp(o->verb, "fsync"))
			o->state = m->nodes[atoi(o->a)].touched;
		if (o->end != NEVER && o->ret < 0)
			continue;
		m->states++;
		if (!apply(m, o)) {
			m->states--;
			continue;
		}
		o->state = m->states;
		m->prints[m->states] = tree_print(m);
	}
}

struct model *model_load(struct log_head *log)
{
	uint64_t used = log->used < LOG_ROOM ? log->used : LOG_ROOM, i;
	struct model *m = calloc(1, sizeof(*m));
	const struct log_rec **recs = malloc((used + 1) * sizeof(*recs));
	size_t n = 0, k;
	const char *s;
	unsigned no;
	long ret;

	for (i = 0; i < used; i++)
		if (log_recs(log)[i].kind == LOG_MARK)
			recs[n++] = &log_recs(log)[i];
	qsort(recs, n, sizeof(*recs), by_begin);
	m->ops = calloc(n + 1, sizeof(*m->ops));
	m->nodes = calloc(INODES, sizeof(*m->nodes));
	for (k = 0; k < n; k++) {
		s = (char *)log + recs[k]->data;
		if (*s == 'S') {
			parse(&m->ops[m->count], s);
			m->ops[m->count++].start = recs[k]->begin;
		} else if (sscanf(s, "E %u %ld", &no, &ret) == 2 &&
			   m->count && m->ops[m->count - 1].n == no) {
			m->ops[m->count - 1].end = recs[k]->begin;
			m->ops[m->count - 1].ret = ret;
		}
	}
	free(recs);
	replay_names(m);
	return m;
}

unsigned model_ops(const struct model *m)
{
	return m->count;
}

struct contents *model_contents(struct model *m, uint32_t id)
{
	return id < INODES ? &m->nodes[id].c : NULL;
}

/* --- contents --- */

static void reach(struct contents *c, uint64_t end)
{
	uint32_t n = (end + SECTOR - 1) / SECTOR, i;

	if (n <= c->room)
		return;
	c->sectors = realloc(c->sectors, n * sizeof(*c->sectors));
	for (i = c->room; i < n; i++)
		c->sectors[i] = (struct sector){ .low_zero = 1, .now_zero = 1,
						 .zero_since = 1 };
	c->room = n;
}

static void resized(struct contents *c, uint64_t size, bool done)
{
	if (size < c->size_min)
		c->size_min = size;
	if (size > c->size_max)
		c->size_max = size;
	if (done)
		c->size = size;
}

/* Sectors from OFF to END become generation N, or zeros. */
static void change(struct contents *c, uint64_t off, uint64_t end, uint32_t n,
		   bool zero, bool done)
{
	uint32_t i;

	/* a sector in part only is not zero afterwards; callers do not do so */
	for (i = off / SECTOR; i < (end + SECTOR - 1) / SECTOR && i < c->room; i++) {
		struct sector *s = &c->sectors[i];

		s->high = n;
		if (zero)
			s->zero_since = 1;
		if (done) {
			s->now = n;
			s->now_zero = zero;
		}
	}
}

static void do_contents(struct model *m, const struct op *o, bool done)
{
	struct contents *c = &m->nodes[atoi(o->a) % INODES].c;
	uint64_t x = strtoull(o->b, NULL, 10), y = strtoull(o->c, NULL, 10);

	if (done && o->ret < 0)
		return;
	if (!strcmp(o->verb, "write")) {
		if (done)
			y = o->ret;
		reach(c, x + y);
		change(c, x, x + y, o->n, false, done);
		if (y && x + y > c->size)
			resized(c, x + y, done);
	} else if (!strcmp(o->verb, "trunc")) {
		change(c, x, (uint64_t)c->room * SECTOR, o->n, true, done);
		reach(c, x);
		resized(c, x, done);
	} else if (!strcmp(o->verb, "zero")) {
		change(c, x, x + y, o->n, true, done);
	} else if (!strcmp(o->verb, "falloc")) {
		reach(c, x + y);
		if (x + y > c->size)
			resized(c, x + y, done);
	} else if (!strcmp(o->verb, "taint")) {
		c->tainted = true;
	}
}

static void promise(struct contents *c)
{
	uint32_t i;

	for (i = 0; i < c->room; i++) {
		struct sector *s = &c->sectors[i];

		s->low = s->high = s->now;
		s->low_zero = s->zero_since = s->now_zero;
	}
	c->size_min = c->size_max = c->size;
	c->promised = true;
}

/* --- the clock --- */

static void op_started(struct model *m, const struct op *o)
{
	if (o->state > m->high && (o->end == NEVER || o->ret >= 0) &&
	    strcmp(o->verb, "fsync"))
		m->high = o->state;
	do_contents(m, o, false);
}

static void op_ended(struct model *m, const struct op *o)
{
	do_contents(m, o, true);
	if (o->ret < 0 || (strcmp(o->verb, "fsync") &&
			   strcmp(o->verb, "fdatasync")))
		return;
	promise(&m->nodes[atoi(o->a) % INODES].c);
	if (!strcmp(o->verb, "fsync") && o->state > m->low)
		m->low = o->state;
}

void model_advance(struct model *m, uint64_t now)
{
	for (;;) {
		if (m->ended < m->started) {
			if (m->ops[m->ended].end > now)
				return;
			op_ended(m, &m->ops[m->ended++]);
		} else {
			if (m->started == m->count ||
			    m->ops[m->started].start > now)
				return;
			op_started(m, &m->ops[m->started++]);
		}
	}
}

int model_legal(const struct model *m, const uint64_t **prints)
{
	*prints = m->prints + m->low;
	return m->high - m->low + 1;
}

uint32_t model_promised(const struct model *m, uint32_t id)
{
	while (++id < INODES) {
		const struct node *node = &m->nodes[id];

		if (node->type == 'f' && node->c.promised &&
		    !node->c.tainted && node->c.gone > m->high)
			return id;
	}
	return 0;
}

static int missing(char *const *a, int na, char *const *b, int nb,
		   const char *what, FILE *out)
{
	int i, k, n = 0;

	for (i = 0; i < na; i++) {
		for (k = 0; k < nb && strcmp(a[i], b[k]); k++)
			;
		if (k < nb)
			continue;
		if (n++ < 12 && out)
			fprintf(out, "    %s %s\n", what, a[i]);
	}
	return n;
}

/* The lines of the tree as it is in T, into LINES; their number. */
static int tree_lines(const struct model *t, char **lines)
{
	const struct dent *d;
	char line[1024];
	int n = 0;

	for (d = t->dents; d; d = d->next) {
		dent_line(t, d, line, sizeof(line));
		lines[n++] = strdup(line);
	}
	return n;
}

void model_explain(const struct model *m, char *const *seen, int n, FILE *out)
{
	struct model t = { .nodes = calloc(INODES, sizeof(*t.nodes)) };
	char **lines = malloc(INODES * sizeof(*lines)), **best = NULL;
	int nbest = 0, score = -1, k, d, i;
	uint32_t at = 0;
	const struct op *o, *near = NULL;

	for (o = m->ops; o <= m->ops + m->count && t.states <= m->high; o++) {
		if (t.states >= m->low && (o == m->ops || o[-1].state == t.states)) {
			k = tree_lines(&t, lines);
			d = missing(lines, k, seen, n, "", NULL) +
			    missing(seen, n, lines, k, "", NULL);
			if (score < 0 || d < score) {
				score = d;
				free(best);
				best = lines;
				lines = malloc(INODES * sizeof(*lines));
				nbest = k;
				at = t.states;
				near = o > m->ops ? o - 1 : o;
			} else {
				for (i = 0; i < k; i++)
					free(lines[i]);
			}
		}
		if (o == m->ops + m->count)
			break;
		if (o->end != NEVER && o->ret < 0)
			continue;
		t.states++;
		if (!apply(&t, o))
			t.states--;
	}
	fprintf(out, "    states %u to %u are legal; the nearest is %u", m->low,
		m->high, at);
	if (near)
		fprintf(out, " (after %u %s %s %s)", near->n, near->verb,
			near->a, near->b);
	fprintf(out, ":\n");
	missing(best, nbest, seen, n, "missing", out);
	missing(seen, n, best, nbest, "unexpected", out);
}
