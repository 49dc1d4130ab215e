mod aws;
mod google;
mod matching;
mod secret_operator;
mod webhook;
