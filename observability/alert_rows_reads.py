"""The alerts about views and about following the CMS's changes."""

from datetime import timedelta
from typing import Final

from observability.alert_kinds import AlertKind

READS: Final = (
    AlertKind(
        name="watcher_behind",
        means="nobody watches, or it does not keep up: reads go past the views, the cache ages by its hard age only",
        key="one",
        closes="when the watcher follows within its bound again",
        to_do="look at the watcher's log; start one. It goes on where it was",
    ),
    AlertKind(
        name="view_drift",
        means="the nightly rebuild found groups that had changed though no change was pending; they are mended. A "
        "view was edited by hand, or there is a fault of ours",
        key="view",
        closes="with the view's next rebuild that finds none",
        to_do="look at `last_rebuild.drift`; compare those groups' sources. If nobody edited the view, report it",
    ),
    AlertKind(
        name="view_stuck",
        means="a rebuild goes on for more than an hour (`not built`: the first one of its generation, the view is not "
        "read), or a change waits for its refresh ten minutes after it was followed",
        key="view",
        closes="when the view gets on again",
        to_do="look at the logs of `worker-reads` for `views.refresh`",
    ),
    AlertKind(
        name="view_group_unreadable",
        means="the database cannot run the pipeline for some groups, or not store what comes of them; their marks "
        "stay, the others go on, and answers that need them are read at the sources",
        key="view, with the last groups in it",
        closes="when each of the view's groups could be read",
        to_do="correct the documents of the groups that it names",
    ),
    AlertKind(
        name="view_list_cut",
        means="a contract or a project lists more than 50,000 documents of a kind: changes to those beyond are not "
        "seen, only the list's own",
        key="collection, with the last documents in it",
        closes="when none of the documents in it lists so many any more; one with more documents than it names, only "
        "by a person",
        to_do="shorten the list, or have its view rebuilt (docs/views.md) when it has to be right",
    ),
    AlertKind(
        name="views_history_lost",
        means="the oplog no longer had what followed the token (error 286), or one change was larger than the database "
        "can send (`BSONObjectTooLarge`: two copies of its references came to more than 16 MB): a new map is made, "
        "everything remembered is forgotten, every view is built anew, and meanwhile the pipelines answer",
        key="one",
        closes="after a week without another",
        to_do="nothing for the data. Make the oplog larger (`replSetResizeOplog`), or find out why no watcher ran for "
        "so long, or who writes such documents",
        quiet=timedelta(days=7),
    ),
    AlertKind(
        name="views_collection_changed",
        means="a watched collection was dropped or renamed (an import): as with `views_history_lost`",
        key="watched collection",
        closes="once every view was built anew",
        to_do="nothing",
    ),
    AlertKind(
        name="change_unreadable",
        means="one change could not be read and was left out",
        key="watched collection",
        closes="once every view was built anew",
        to_do="`views.refresh` with `full` once the cause is gone",
    ),
)
