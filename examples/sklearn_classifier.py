"""midmix as a scikit-learn classifier: a method is a parameter to search over, like any other."""

from sklearn.datasets import make_classification
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

from midmix.integrations import MidmixClassifier

x, y = make_classification(
    2000, 20, n_informative=8, n_classes=4, weights=[0.8, 0.14, 0.04], class_sep=1.2, random_state=0
)
x, x_test, y, y_test = train_test_split(x, y, test_size=0.5, stratify=y, random_state=0)

pipeline = make_pipeline(
    QuantileTransformer(n_quantiles=200, output_distribution="normal"),
    MidmixClassifier(aim="balanced", hidden=(64,), epochs=10, random_state=0),
)
search = GridSearchCV(
    pipeline,
    {"midmixclassifier__method": ["erm", "mixup+balanced_softmax", "balanced-am-mixup:clean_weight=1"]},
    scoring="balanced_accuracy",
    cv=3,
).fit(x, y)

print(search.best_params_["midmixclassifier__method"])
print(f"balanced accuracy {balanced_accuracy_score(y_test, search.predict(x_test)):.3f}")
