"""The words in metrics' names by which one knows whether less is better, and which metric says most."""

from __future__ import annotations

from typing import Final

_MINIMISED: Final = """
    loss losses error errors err mse rmse mae mape smape wape mase msle rmsle medae rmspe nll nlpd bce mce ece xent
    crossentropy logloss perplexity ppl bpc bpb deviance divergence kl kld crps pinball brier hinge hamming aic bic
    bouldin inertia wer cer ter mer eer fpr fnr fdr false fid kid lpips l1 l2 distance cost costs regret drift penalty
    violations gap std stddev latency time times duration runtime seconds ms delay lag memory mem rss energy emissions
    co2 failures failed faults misses rank toxicity
"""
_MAXIMISED: Final = """
    accuracy acc f1 f2 fbeta fscore auc auroc auprc roc ap map r2 precision recall sensitivity specificity tpr tnr ppv
    npv gini kappa mcc matthews jaccard iou miou dice bleu rouge rouge1 rouge2 rougel meteor chrf bertscore ndcg mrr hit
    hits psnr ssim correlation pearson spearman likelihood elbo reward rewards return returns win wins success
    throughput speed fps similarity silhouette calinski uplift lift gain improvement reduction
"""
MINIMISED: Final = frozenset(_MINIMISED.split())
MAXIMISED: Final = frozenset(_MAXIMISED.split())
MINIMISED_ENDINGS: Final = ("loss", "error", "perplexity")
"""Of words that are written together, such as `mlogloss`, `merror` and `valloss`."""

ORDER: Final = (
    ("f1", "fscore", "fbeta"),
    ("auc", "auroc", "roc"),
    ("accuracy", "acc"),
    ("auprc", "ap", "map"),
    ("precision",),
    ("recall",),
    ("mcc", "matthews"),
    ("r2",),
    ("iou", "miou", "dice"),
    ("ndcg", "mrr"),
    ("bleu", "rouge", "rougel"),
    ("reward", "return"),
    ("score",),
    ("rmse",),
    ("mae",),
    ("mse",),
    ("mape", "smape"),
    ("perplexity", "ppl"),
    ("logloss", "nll"),
    ("loss",),
    ("error", "wer"),
)
"""Which metric stands for an experiment that names none; the first kind that its runs have."""
SPLITS: Final = (
    ("val", "valid", "validation", "eval", "dev", "holdout"),
    ("test",),
    (),
    ("train", "training"),
)
"""Of several metrics of a kind: over which part of the data it was taken; `()` is a name without such a word."""
