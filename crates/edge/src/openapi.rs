//! `GET /api` and `GET /api/openapi.json`: the description of the HTTP API, generated from the handlers.

pub(crate) mod event_schema;

use axum::Router;
use utoipa::{
    OpenApi,
    openapi::{self, Content, PathItem, Ref, ResponseBuilder, path::Operation},
};
use utoipa_swagger_ui::{Config, SwaggerUi};

const UI: &str = "/api";
const DOCUMENT: &str = "/api/openapi.json";

/// The title and the tags of the description; the handlers describe the rest.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Weir",
        description = "Takes ad-platform webhooks in, loses nothing that it accepted, counts each event once and reports the counts."
    ),
    tags(
        (name = "webhooks", description = "Events come in; a slash after the path changes nothing"),
        (name = "events", description = "Questions about one event"),
        (name = "reports", description = "Questions about stored events, by event time"),
        (name = "health", description = "The process itself"),
    )
)]
pub(crate) struct Document;

/// Describes the operation of `path` under `alias` too.
pub(crate) fn add_alias(document: &mut openapi::OpenApi, path: &str, alias: &str) {
    let Some(mut item) = document.paths.paths.get(path).cloned() else { return };
    rename_operation(&mut item, alias);
    document.paths.paths.insert(alias.to_owned(), item);
}

/// Gives the operation an id of its own: ids are unique in a document.
fn rename_operation(item: &mut PathItem, alias: &str) {
    if let Some(operation) = &mut item.post {
        operation.operation_id = Some(format!("post{}", alias.replace('/', "-")));
    }
}

/// Adds the answers that every operation gives to an invalid head, and every post to a foreign page.
pub(crate) fn add_head_rejections(document: &mut openapi::OpenApi) {
    const REJECTIONS: [(&str, &str); 3] = [
        ("400", "The head is ambiguous"),
        ("421", "On a loopback address: the host is no name of the edge; EDGE_ALLOWED_HOSTS adds names"),
        ("431", "The head has too many or too large header fields"),
    ];
    const OF_PAGES: (&str, &str) = ("403", "From a page of another origin, without a media type of JSON");
    for item in document.paths.paths.values_mut() {
        item.post.iter_mut().for_each(|operation| add_problem(operation, OF_PAGES));
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            REJECTIONS.into_iter().for_each(|rejection| add_problem(operation, rejection));
        }
    }
}

/// Adds a problem with this status and description, unless the operation describes the status itself.
fn add_problem(operation: &mut Operation, (status, description): (&str, &str)) {
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    let response = ResponseBuilder::new().description(description);
    let response = response.content("application/problem+json", problem);
    operation.responses.responses.entry(status.to_owned()).or_insert_with(|| response.into());
}

/// The routes of the document and of a page that shows it. The binary holds every file of the page, so that the page
/// works offline.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(document: openapi::OpenApi) -> Router<S> {
    let config = Config::from(DOCUMENT).validator_url("none");
    SwaggerUi::new(UI).config(config).url(DOCUMENT, document).into()
}
