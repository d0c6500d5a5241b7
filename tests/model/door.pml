/* The door between the runs of a warm family, for the Spin model checker: who may work on which run, when a
 * run is over, and who wakes whom. README.md says how to run and read it; board.pml has what happens inside
 * one run, of which there is no more here than a cursor and, for each slot, the chunk that it holds.
 *
 * Workers and supervisors may die before each of their steps, and any process may be stopped between any
 * two (that is what an interleaving is). One step is one store that somebody may see next.
 *
 * There are two workers. Switches that set sizes: RUNS RING CHUNKS KILLS SUPERVISOR_DEATHS
 * Switches that add something: QUEUED (the caller submits all that there is room for before it waits) CANCEL
 * FEW (any run may be for one worker)
 * Every other name tested below with #ifdef is a planted mistake: see `run`. */

#ifndef RUNS
#define RUNS 2
#endif
#ifndef RING
#define RING 2                /* boards: run k is on board k % RING */
#endif
#ifndef CHUNKS
#define CHUNKS 2              /* of each run */
#endif
#ifndef KILLS
#define KILLS 1               /* deaths of workers */
#endif
#ifndef SUPERVISOR_DEATHS
#define SUPERVISOR_DEATHS 0
#endif

#define ALL ((1 << CHUNKS) - 1)
#define BOARD(k) ((k) % RING)

/* ---- shared memory ------------------------------------------------------------------------------- */

/* Runs have numbers, from 1. Each of these words only grows, and over <= shut <= submitted. */
byte submitted;               /* the last run that may begin */
byte shut;                    /* the last run that nobody may enter any more */
byte over;                    /* the last run that nobody works on any more */
byte cancelled;               /* the last run that the caller has given up */

byte inside[2];               /* the run that this slot is in; 0: none. It is the slot's, not the process's */
byte is[2];                   /* the slot's worker: it isn't known, or AWAKE, or ASLEEP, or about to be */
bool few[RUNS + 2];           /* the run is for one worker */
byte bell;                    /* the word on which workers sleep. Counts to 8 here: more rings than come meanwhile */
byte awaited;                 /* the run that the caller waits for; 0: it doesn't */
bool event;                   /* the caller's eventfd */

byte cursor[RING];            /* of a board: chunks that were claimed */
byte committed[RING];         /* a bit for each chunk */
byte held[2];                 /* the chunk in the slot's log that is not committed, + 1 */

/* ---- processes ----------------------------------------------------------------------------------- */

bool lives[2];
bool doomed[2];               /* the worker was killed, and does nothing any more but die */
bool sleeps[2];               /* in the kernel, until somebody wakes who sleeps on the word */
byte kills = KILLS;
byte supervisor_deaths = SUPERVISOR_DEATHS;
bool supervised;              /* there is one, or its standby takes its place just now */
bool ended;                   /* the caller needs the family no more */

/* ---- what the checks know and the protocol does not ------------------------------------------------ */

byte writing[2];              /* the run to whose outputs this worker is writing */
byte prepared[RING];          /* the run that a board is for */
#ifdef SHUT_ON_BOARD
bool shut_board[RING];        /* ... and it begins anew with each run */
#define IS_SHUT(k) shut_board[BOARD(k)]
#define SHUT(k) shut_board[BOARD(k)] = true
#else
#define IS_SHUT(k) (shut >= (k))
#define SHUT(k) shut = k
#endif

/* ---- steps that several take ----------------------------------------------------------------------- */

/* Each kind of process says before its code whether it may take one, and how it may die instead. To look, and
 * to do as was seen, is one step only where one load decides. */
#define STEP(action) if :: atomic { MAY -> action } DIE fi
#define IF(condition, yes, no) \
  if \
  :: atomic { MAY && (condition) -> yes } \
  :: atomic { MAY && !(condition) -> no } \
  DIE \
  fi

#define AWAKE 1
#define ASLEEP 2
#define ANY_ASLEEP (is[0] == ASLEEP || is[1] == ASLEEP)
#ifdef COUNTED_ASLEEP
#define ANY_AWAKE (is[0] != 0 || is[1] != 0)
#else
#define ANY_AWAKE (is[0] == AWAKE || is[1] == AWAKE)
#endif

/* Wakes the workers that say that they are about to sleep, or do. */
#define RING_THE_BELL \
  IF(ANY_ASLEEP, bell = (bell + 1) % 8; sleeps[0] = false; sleeps[1] = false, skip)

/* The same for a run: if that is for one worker, nobody is woken while one is awake, and else one is. */
#define RING_FOR(n) \
  IF(ANY_ASLEEP && !(few[n] && ANY_AWAKE), \
     bell = (bell + 1) % 8; \
     if \
     :: few[n] && is[0] == ASLEEP -> sleeps[0] = false \
     :: few[n] && is[1] == ASLEEP -> sleeps[1] = false \
     :: !few[n] -> sleeps[0] = false; sleeps[1] = false \
     fi, skip)

#define TELL_THE_CALLER IF(awaited != 0 && awaited <= over, event = true, skip)

/* ---- a worker --------------------------------------------------------------------------------------- */

#define MAY !doomed[s]
#define DIE \
  :: atomic { doomed[s] || (kills > 0 && !ended) -> \
              kills = (doomed[s] -> kills : kills - 1); doomed[s] = false; \
              lives[s] = false; sleeps[s] = false; writing[s] = 0; k = 0; last = 0; seen = 0; goto gone }
#define OTHER (1 - s)

proctype worker(byte s) {
  byte k; byte last; byte seen;

  STEP(is[s] = AWAKE);
  STEP(k = inside[s]);
  IF(k != 0, goto work, skip);  /* the slot is in it, and has work that another has left */

look:
  STEP(seen = bell; k = 0);
#ifdef NEXT_BEFORE_OVER
  STEP(k = (last == 0 -> over + 1 : last + 1));
#else
  STEP(k = over + 1);
#endif
  IF(submitted >= k && k != last, seen = 0; goto enter, skip);
#ifdef NO_SECOND_LOOK
  STEP(is[s] = ASLEEP; seen = bell);
#else
  STEP(is[s] = ASLEEP);
  STEP(k = over + 1);
  IF(submitted >= k && k != last, goto awake, skip);
#endif
#ifdef SLEEP_UNCOMPARED
  STEP(sleeps[s] = true; seen = 0);
#else
  STEP(sleeps[s] = (bell == seen); seen = 0);
#endif
end_asleep:
  if
  :: atomic { MAY && !sleeps[s] -> skip }
  DIE
  fi;
awake:
  STEP(is[s] = AWAKE; seen = 0);
  goto look;

enter:
#ifdef LOOK_THEN_ENTER
  IF(IS_SHUT(k), goto finish, skip);
  STEP(inside[s] = k);
#else
  STEP(inside[s] = k);
  IF(IS_SHUT(k), skip, goto work);
  STEP(inside[s] = 0; last = k);  /* nothing is left to do there */
#ifdef TURNED_AWAY_QUIETLY
  goto look;                  /* but who saw it inside relies on it */
#else
  goto finish;
#endif
#endif

work:
  do
  :: IF(held[s] != 0, skip,
        if
        :: cursor[BOARD(k)] < CHUNKS -> cursor[BOARD(k)]++; held[s] = cursor[BOARD(k)]
        :: else -> goto leave
        fi);
     /* To what the caller may read, or the next run may write, nobody writes. */
     STEP(assert(over == k - 1); writing[s] = k);
     STEP(assert(over == k - 1 && inside[s] == k && prepared[BOARD(k)] == k); writing[s] = 0;
          committed[BOARD(k)] = committed[BOARD(k)] | (1 << (held[s] - 1)); held[s] = 0)
  od;
leave:
  STEP(SHUT(k));
  STEP(inside[s] = 0; last = k);

/* Run k is over if nobody can enter it, and nobody is in it. Anybody may look; one makes it so. */
finish:
  IF(IS_SHUT(k), skip, goto look);
  IF(inside[s] == k, goto look, skip);
  IF(inside[OTHER] == k, goto look, skip);
  IF(over == k - 1, over = k, goto look);
  IF(submitted > k, skip, goto tell);
  RING_FOR(k + 1);
tell:
  TELL_THE_CALLER;
  goto look;

gone:
  skip
}

/* ---- the supervisor, and who follows it -------------------------------------------------------------- */

#undef MAY
#undef DIE
#define MAY true
#define DIE \
  :: atomic { supervisor_deaths > 0 && !ended -> supervisor_deaths--; supervised = false; s = 0; k = 0; goto gone }

proctype supervise() {
  byte s; byte k;

watch:
  atomic { s = 0; k = 0 };
  if
  :: atomic { ended -> goto gone }
  DIE
#ifdef CANCEL
  :: atomic { !ended && cancelled > over -> skip };
#ifdef CANCEL_BEFORE_DEATH
     STEP(shut = cancelled);
     STEP(over = cancelled);
#endif
     STEP(doomed[0] = lives[0]);
     STEP(doomed[1] = lives[1]);
     do
     :: atomic { !lives[0] && !lives[1] -> break }
     DIE
     od;
     STEP(held[0] = 0; held[1] = 0);
     STEP(inside[0] = 0);
     STEP(inside[1] = 0);
     STEP(shut = (shut < cancelled -> cancelled : shut));
     STEP(over = (over < cancelled -> cancelled : over));
     TELL_THE_CALLER;
     goto watch
#endif
  :: atomic { !ended && !lives[0] -> s = 0 }
  :: atomic { !ended && !lives[1] -> s = 1 }
  fi;

  /* The slot stays inside as long as it has work: its next worker goes on with that. */
#ifdef MEMBERSHIP_DIES
  STEP(inside[s] = 0);
#else
  IF(held[s] == 0, inside[s] = 0, skip);
#endif
  STEP(is[s] = 0);
#ifndef SILENT_RECOVERY
  /* The dead one may have been the last, and have told nobody. */
  STEP(k = over + 1);
  IF(IS_SHUT(k) && k <= submitted, skip, goto tell);
  IF(inside[0] == k, goto tell, skip);
  IF(inside[1] == k, goto tell, skip);
  IF(over == k - 1, over = k, skip);
tell:
  RING_THE_BELL;
  TELL_THE_CALLER;
#endif
  STEP(lives[s] = true; run worker(s));
  goto watch;

gone:
  skip
}

#undef DIE
#define DIE

/* A supervisor's workers die with it; its standby waits until all are dead, and takes its place. */
active proctype standby() {
  do
  :: atomic { !supervised && !ended -> supervised = true };
     doomed[0] = lives[0];
     doomed[1] = lives[1];
     !lives[0] && !lives[1];
     run supervise()
  :: ended -> break
  od
}

/* ---- the caller -------------------------------------------------------------------------------------- */

#ifdef CANCEL
#define CANCEL_HERE :: atomic { cancelled == 0 && over < submitted -> cancelled = submitted }
#else
#define CANCEL_HERE
#endif

#ifdef AWAITED_LATE
#define WAIT_FOR(n) \
  do \
  :: over >= n -> break \
  :: else -> awaited = n; event -> event = false \
  od; \
  awaited = 0
#else
#define WAIT_FOR(n) \
  awaited = n; \
  do \
  :: over >= n -> break \
  :: else -> if :: event -> event = false CANCEL_HERE fi \
  od; \
  awaited = 0
#endif

/* All of it counts, unless the caller has given it up; and nobody is at it. */
inline check(n) {
  d_step {
    assert(n <= cancelled || committed[BOARD(n)] == ALL);
    assert(writing[0] != n && writing[1] != n)
  }
}

active proctype caller() {
  byte k = 1;

  do
  :: k <= RUNS ->
     if
     :: k > RING ->
#ifdef RECYCLED_EARLY
        shut >= k - RING;
#else
        WAIT_FOR(k - RING);
        check((k - RING));
#endif
     :: else -> skip
     fi;
     d_step { cursor[BOARD(k)] = 0; committed[BOARD(k)] = 0; prepared[BOARD(k)] = k
#ifdef SHUT_ON_BOARD
              ; shut_board[BOARD(k)] = false
#endif
            };
#ifdef FEW
     if :: few[k] = true :: skip fi;
#endif
     submitted = k;
     /* Otherwise whoever ends the run before rings. */
     IF(over + 1 == k, skip, goto submitted_behind);
     RING_FOR(k);
submitted_behind:
#ifndef QUEUED
     WAIT_FOR(k);
     check(k);
#endif
     k++
  :: else -> break
  od;
  WAIT_FOR(RUNS);
  check(RUNS);
  ended = true;
gone:
  skip
}
